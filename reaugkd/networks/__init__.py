"""Teacher and student: pretrained weights, an encoder with a classifier, and how it is trained."""
