"""The solutions, one file each, in order. A docstring is the task; below `# Yours` stands what a learner writes."""
