_base_ = [
    '../teachers/vit-s_aircraft.py',
    '../students/res18_aircraft.py',
    '../recipes/aircraft_cnn.py',
]
