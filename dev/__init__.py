DEMO_CLINIC = "Harborview Virtual Physiotherapy (demo)"
"""By this name a start knows the demo clinic again."""
