"""What run_train.py is made of: arguments, data, collator, metrics, calibration, report and card."""
