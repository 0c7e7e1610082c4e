"""Bytes as a serial receiver hears them that runs at another rate than their sender."""


def misread(data, sent, heard, skew=0.0):
    """The bytes that a receiver at `heard` baud, its clock wrong by `skew`, reads in `data` sent at `sent` baud, 8N1.

    It samples as a UART does: a falling edge begins a byte, each bit is looked at in its middle; a byte without its
    stop bit is kept, since some receivers keep it.
    """
    bits = [bit for byte in data for bit in (0, *((byte >> place) & 1 for place in range(8)), 1)]

    def level(time):
        place = int(time * sent)
        return bits[place] if time >= 0 and place < len(bits) else 1

    width = (1 + skew) / heard
    found, time, before = bytearray(), 0.0, 1
    while time < len(bits) / sent + 2 * width:
        now = level(time)
        if before == 1 and now == 0 and level(time + width / 2) == 0:
            found.append(sum(level(time + width * (1.5 + place)) << place for place in range(8)))
            time += width * 9.5
            now = level(time)
        before = now
        time += width / 16
    return bytes(found)
