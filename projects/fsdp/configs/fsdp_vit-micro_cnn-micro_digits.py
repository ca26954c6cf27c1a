_base_ = '../../../configs/mldrkd/vit-micro_cnn-micro_digits.py'

custom_imports = dict(imports=['hetkd_fsdp'], allow_failed_imports=False)
runner_type = 'StrategyRunner'
strategy = dict(type='FullyShardStrategy', blocks=['BasicBlock'])
