_base_ = [
    '../teachers/swin-t_aircraft.py',
    '../students/res18_aircraft.py',
    '../recipes/aircraft_cnn.py',
]
