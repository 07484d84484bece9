"""Word lists: stop words, how common English words are, and the words of feeling. Their making: docs/topics.md."""
