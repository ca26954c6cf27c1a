# The authors' present VMamba-T (s1l8).
student = dict(type='MambaNet', model=dict(type='VMamba', arch='tiny'), num_classes=100)
