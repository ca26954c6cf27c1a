# VMamba-T (s1l8), the authors' present one.
_vmamba_t = dict(type='MambaNet', model=dict(type='VMamba', arch='tiny'))
