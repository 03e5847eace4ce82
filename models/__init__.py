"""The trained models that ship: NAME/model.onnx with NAME/card.json."""
