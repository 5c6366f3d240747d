"""Hyperparameters in, an int8 ONNX file out: training, filter pruning, quantisation."""
