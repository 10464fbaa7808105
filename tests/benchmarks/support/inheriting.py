"""The inheritance that every benchmark speaks of."""

INTERVAL = 3
SETTINGS = {"level": "block", "sites": "out.8", "mode": "uniform", "interval": INTERVAL, "full_evaluations": 0,
            "start_percent": 0.0, "end_percent": 1.0, "value": "hold", "max_age": 0}
