"""A crowd of visitors for ``moorage temp``, and what they measure."""
