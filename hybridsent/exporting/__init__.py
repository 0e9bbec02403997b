"""Export trained models to ONNX and OpenVINO."""
