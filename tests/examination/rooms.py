"""A session in the making: events are decided, kept and replayed, on a clock that the test moves."""

from acquisition.examination import decisions
from acquisition.examination.protocol import load
from acquisition.examination.session import SessionLog, replay

SECOND = 1_000_000_000
T0 = 1_767_225_600 * SECOND
ABOUT = {"subject": "03-117", "visit": "baseline", "limb": "left", "by": "mk"}


class Room:
    """What a technician does; `wait` moves the clock."""

    def __init__(self, protocol="porh", **about):
        self.now = T0
        self.session_log = SessionLog()
        self.events = []
        self.protocol = load(protocol)
        self.take(decisions.start(self.session_log, self.now, protocol, self.protocol, {**ABOUT, **about}))

    def take(self, event):
        self.events.append(event)
        self.session_log = self.session_log.after(event)
        return event

    def wait(self, seconds):
        self.now += round(seconds * SECOND)
        return self

    def do(self, what, *arguments, **more):
        return self.take(getattr(decisions, what)(self.session_log, self.now, *arguments, **more))

    @property
    def session(self):
        return self.session_log.sessions["s1"]

    def again(self):
        """The book as it comes out of the record."""
        return replay(self.events)


def porh(stop=True):
    room = Room()
    room.wait(300).do("mark", "inflate")
    room.wait(180).do("mark", "release")
    room.wait(600)
    if stop:
        room.do("stop")
    return room
