"""What devices are and said: channels, kinds, registry, codecs, readings and their last values."""
