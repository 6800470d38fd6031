def detect(image): raise ValueError("stub")
