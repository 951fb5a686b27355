"""What must not pass: detectors, the kind ``Guard``, and masking that can be taken back."""
