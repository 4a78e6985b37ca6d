"""What the demo clinic's therapists write; fictional, and no example to treat anybody by."""

from typing import Any

TWO_PHASES: dict[str, Any] = {
    "title": "Low back pain, home program",
    "pain_ceiling": 5,
    "phases": [
        {
            "name": "Get it moving",
            "kind": "mobility",
            "weeks": 3,
            "exit_criteria": "Pain at most 3 on three days in a row",
            "exit": [
                {"measure": "pain_now", "op": "lte", "value": 3, "over": {"last_n": 3}},
                {"measure": "adherence_percent", "op": "gte", "value": 50, "over": {"days": 14}},
            ],
            "items": [
                {"exercise_code": "lb_pelvic_tilt"},
                {"exercise_code": "br_belly_supine", "sets": 1, "reps": 8},
                {"exercise_code": "lb_knee_chest"},
            ],
        },
        {
            "name": "Build strength",
            "kind": "strength",
            "entry": [{"measure": "function_limit", "op": "lte", "value": 4}],
            "items": [
                {"exercise_code": "lb_pelvic_tilt"},
                {"exercise_code": "hp_bridge", "sets": 3, "reps": 10, "effort_ceiling": 6, "weekdays": [1, 3, 5, 6]},
            ],
        },
    ],
}
EASIER: dict[str, Any] = {
    "reason": "Flare: fewer repetitions and mobility only for a while",
    "pain_ceiling": 4,
    "phases": [
        {
            "name": "Calm it down",
            "kind": "mobility",
            "items": [
                {"exercise_code": "lb_pelvic_tilt", "sets": 1, "reps": 8},
                {"exercise_code": "br_belly_supine", "sets": 1, "reps": 8},
            ],
        }
    ],
}
INSTRUMENTS: tuple[dict[str, Any], ...] = (
    {"instrument": "rmdq24", "intake": True, "every_weeks": 2},
    {"instrument": "psfs", "intake": True, "every_weeks": 4},
)
ASSESSMENT: dict[str, Any] = {
    "kind": "initial",
    "content": {
        "reason": "Low back pain for several weeks, worse when sitting",
        "symptoms": {"aggravating": ["sitting over 30 minutes", "lifting"], "easing": ["walking"], "pain_now": 6},
        "context": {"occupation": "Desk work", "prior_function": "Walked daily, lifted without trouble"},
        "systems_screen": [{"system": "neurological", "finding": "clear"}],
        "observations": {
            "range_of_motion": [
                {
                    "joint": "lumbar spine",
                    "movement": "flexion",
                    "side": "none",
                    "degrees": 45,
                    "method": "video_estimate",
                }
            ],
            "functional_tests": [{"test": "30-second sit-to-stand", "value": 12, "unit": "repetitions"}],
        },
        "impairments": ["Reduced lumbar flexion", "Reduced trunk endurance"],
        "hypothesis": "Non-specific low back pain with reduced load tolerance",
        "prognosis": {"rating": "good"},
        "plan": {"sessions_per_week": 5, "weeks": 12, "interventions": ["exercise", "education"]},
        "encounter": {"modality": "video", "patient_country": "US", "patient_region": "NY", "minutes": 45},
        "consent": {"confirmed": True},
    },
}
NARRATIVE: dict[str, Any] = {
    "assessment_of_progress": "Pain and disability follow the expected course; exercises are done with good technique.",
    "justification_for_skilled_care": "Load is progressed week by week against symptoms, which needs clinical judgement.",
    "plan": "Continue the present phase, then progress load; review in four weeks.",
    "updated_goals": "Goals unchanged.",
}
