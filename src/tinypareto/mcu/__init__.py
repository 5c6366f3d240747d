"""An int8 ONNX file in, measured firmware out. Knows nothing of training."""
