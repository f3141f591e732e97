"""The only judgement: from records to findings. Pure."""
