"""What this SDK calls itself in `Ready`."""

SDK = "python 0.1.0"
