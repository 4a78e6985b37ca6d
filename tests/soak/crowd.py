"""Many patients with check-in plans, made by plain SQL, and what every one of their check-ins should be by now."""

from datetime import date, datetime
from typing import Any

import psycopg

PER_CLINIC = 100

_PEOPLE = """
INSERT INTO clinics (name, country, zone) SELECT 'Clinic ' || n, 'US', 'UTC' FROM generate_series(1, %(clinics)s) n;
INSERT INTO patients (clinic_id, record_number, given_name, family_name, birth_date, zone)
SELECT c.id, n::text, 'Patient', n::text, '1980-01-01',
       (ARRAY['UTC', 'Europe/Berlin', 'America/New_York', 'Asia/Kolkata'])[1 + n %% 4]
FROM (SELECT id, row_number() OVER (ORDER BY id) AS place FROM clinics) c, generate_series(1, %(people)s) n
WHERE (n - 1) / %(per_clinic)s + 1 = c.place;
INSERT INTO identity.accounts (id, email) SELECT id, record_number || '@crowd.example' FROM patients;
UPDATE patients SET account_id = id;
INSERT INTO notification_preferences (clinic_id, account_id, quiet_from, quiet_until)  -- no hour is quiet to them
SELECT clinic_id, account_id, '00:00', '00:00' FROM patients;
INSERT INTO episodes (clinic_id, patient_id, title, body_region, status)
SELECT clinic_id, id, 'Low back pain', 'low_back', 'active' FROM patients;
INSERT INTO check_in_plans (clinic_id, patient_id, episode_id, question_set, frequency, weekdays, steps, local_time,
  zone, closes_minutes, starts_on, next_on, next_due_at)
SELECT e.clinic_id, e.patient_id, e.id, 'daily', 'daily', '{1,2,3,4,5,6,7}', '{1,1,1,1,1,1,1}', t.wall, p.zone,
       %(closes)s, %(first)s, %(first)s, local_instant(%(first)s, t.wall, p.zone)
FROM episodes e JOIN patients p ON p.clinic_id = e.clinic_id AND p.id = e.patient_id
CROSS JOIN LATERAL (SELECT ((%(base)s::timestamptz + (p.record_number::int %% %(spread)s) * interval '1 minute')
                            AT TIME ZONE p.zone)::time AS wall) t;
ANALYZE
"""

# What each plan should have made by $at: every local day whose moment lies within the next 24 hours. What was due after
# $left and before somebody worked again at $back was never offered unless it was the latest of its plan by then: our
# fault, and excused so.
_WRONG = """
WITH days AS (
  SELECT p.clinic_id, p.id AS plan_id, day::date AS day, local_instant(day::date, p.local_time, p.zone) AS due_at,
         local_instant(day::date + 1, p.local_time, p.zone) AS next_at, make_interval(mins => p.closes_minutes) AS closes
  FROM check_in_plans p CROSS JOIN LATERAL generate_series(p.starts_on, %(at)s::date + 3, interval '1 day') day
), wanted AS (
  SELECT clinic_id, plan_id, day, due_at, CASE
    WHEN due_at > %(left)s AND (next_at <= %(back)s OR due_at + closes <= %(back)s) THEN 'excused outage'
    WHEN due_at + closes <= %(at)s THEN 'missed'
    WHEN due_at <= %(at)s THEN 'open' ELSE 'due' END AS status
  FROM days WHERE due_at <= %(at)s::timestamptz + interval '24 hours'
), made AS (
  SELECT clinic_id, plan_id, local_date AS day, count(*) AS times, min(due_at) AS due_at,
         min(concat_ws(' ', status, excused_reason)) AS status
  FROM check_ins GROUP BY clinic_id, plan_id, local_date
)
SELECT count(*) FILTER (WHERE m.day IS NULL) AS missing, count(*) FILTER (WHERE m.times > 1) AS doubled,
       count(*) FILTER (WHERE w.day IS NULL) AS unwanted,
       count(*) FILTER (WHERE m.due_at <> w.due_at OR m.status <> w.status) AS different,
       count(*) FILTER (WHERE w.due_at <= %(at)s) AS due,
       count(*) FILTER (WHERE w.status = 'excused outage') AS excused
FROM wanted w FULL JOIN made m USING (clinic_id, plan_id, day)
"""

_WAITING = """
SELECT (SELECT count(*) FROM check_in_plans WHERE status = 'active'
          AND next_due_at <= %(at)s::timestamptz + interval '24 hours')
     + (SELECT count(*) FROM check_ins WHERE status = 'due' AND opens_at <= %(at)s AND closes_at > %(at)s)
     + (SELECT count(*) FROM check_ins WHERE status IN ('due', 'open') AND closes_at <= %(at)s) AS check_ins,
       (SELECT count(*) FROM notifications WHERE status IN ('owed', 'failed')) AS letters
"""

Rows = psycopg.Connection[Any]


def settle(rows: Rows, people: int, first: date, base: datetime, *, spread: int, closes: int) -> None:
    """Make the patients, each asked every day from `first` on.

    base: a moment of the time of day when the first of them is asked; the others follow by the minute, over `spread`
    minutes, each on the clock of a zone of his own. closes: minutes until a check-in closes.
    """
    values = {
        "people": people,
        "clinics": -(-people // PER_CLINIC),
        "per_clinic": PER_CLINIC,
        "first": first,
        "base": base,
        "spread": spread,
        "closes": closes,
    }
    client = psycopg.ClientCursor(rows)  # several statements at once take no parameters on the server's side
    client.execute(_PEOPLE, values)


def waiting(rows: Rows, at: datetime) -> tuple[int, int]:
    """Give how many check-ins and how many letters the workers have left to do at `at`."""
    check_ins, letters = one(rows, _WAITING, {"at": at})
    return int(check_ins), int(letters)


def wrong(rows: Rows, at: datetime, *, left: datetime, back: datetime) -> dict[str, int]:
    """Give how many occurrences are missing, doubled, unwanted or different from what they should be.

    Also how many are due, and how many of them are to be excused: nobody worked from `left` until `back`.
    """
    names = ("missing", "doubled", "unwanted", "different", "due", "excused")
    found = one(rows, _WRONG, {"at": at, "left": left, "back": back})
    return dict(zip(names, map(int, found), strict=True))


def one(rows: Rows, sql: str, values: Any = None) -> tuple[Any, ...]:
    """Ask for one row."""
    row = rows.execute(sql, values).fetchone()
    assert row is not None
    return tuple(row)
