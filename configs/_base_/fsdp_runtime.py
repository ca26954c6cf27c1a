# A second base for any config: the student's parameters, gradients and optimizer state are split over the
# processes. Name the student's blocks to gather them one at a time: strategy = dict(blocks=['Block']).
strategy = dict(type='FullyShardStrategy', blocks=[])
