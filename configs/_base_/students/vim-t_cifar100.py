student = dict(type='MambaNet', model=dict(type='Vim', arch='tiny'), num_classes=100)
