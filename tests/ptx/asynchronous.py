"""Copies that go on while threads do: here they land as late as the manual allows, and what they will overwrite is NaN
until then. So a wait that is missing or too short is seen."""


class Asynchronous:
    def start_asynchronous(self):
        pass

    def end_asynchronous(self):
        pass

    def land_copies(self):
        return False
