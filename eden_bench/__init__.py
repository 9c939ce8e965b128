"""eden-bench: what does this pretraining help with, and what may I claim?"""
