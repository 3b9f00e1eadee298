"""The sends that every measurement here uses, the wrk script that makes them, and the check that every answer to them is right.

Bodies as SDKs write them: keys in either order, compact and spaced JSON, numbers with and without `+`; the category follows from the
template's name alone.
"""

import json
import random
import socket
import subprocess
from dataclasses import dataclass

SENDERS = [f"10654035224292{n}" for n in range(4)]
ALL = ["marketing", "utility", "authentication"]
TEMPLATES = {
    "autumn_sale": "marketing", "new_arrivals": "marketing", "abandoned_cart": "marketing", "bonus_points": "marketing",
    "order_placed": "utility", "parcel_on_its_way": "utility", "visit_tomorrow": "utility", "invoice_ready": "utility",
    "payment_arrived": "utility", "ticket_answered": "utility", "login_code": "authentication", "new_device": "authentication",
}  # fmt: skip
AGREED = 4915100000000  # everybody from here on agreed to all categories
REFUSED, REFUSED_COUNT = 4915200000000, 500  # of these every other one withdrew from marketing; nothing is known of the rest
KNOWN = 1000  # of those who agreed: the ones whom every peer is asked about before it is measured
VERIFIED = KNOWN + REFUSED_COUNT
_WORDS = "thank you for the order which left our warehouse today and will arrive between nine and twelve tomorrow".split()


def bodies(size=None):
    """Category and body of 24 sends of 400 to 800 bytes, or of exactly `size` bytes on the wire; `@` stands for the 13 digits."""
    chance, made = random.Random(7), []
    for n, (name, category) in enumerate([*TEMPLATES.items()] * 2):
        spaced, filler = n % 3 == 0, ""
        if size:
            texts = [" ".join(chance.choices(_WORDS, k=160)) for _ in range((size - 400) // 1200)]
            filler = "x" * (size - len(written(name, n, ["", *texts], spaced)) - 12)
        else:
            texts = [" ".join(chance.choices(_WORDS, k=chance.randint(3, 12))) for _ in range(chance.randint(3, 5))]
        made.append((category, written(name, n, [filler, *texts], spaced)))
    return made


def written(name, n, texts, spaced):
    components = [{"type": "body", "parameters": [{"type": "text", "text": text} for text in texts]}]
    template = {"name": name, "language": {"code": "en_US"}, "components": components}
    to = "+@" if n % 8 == 7 else "@"
    send = {"messaging_product": "whatsapp", "recipient_type": "individual", "to": to, "type": "template", "template": template}
    if n % 5 == 4:
        send = dict(reversed(send.items()))
    return json.dumps(send, separators=(", ", ": ") if spaced else (",", ":"))


def requests(size=None):
    """Category, what stands before the number, what stands after it."""
    token = "EAA" + "".join(random.Random(3).choices("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", k=177))
    made = []
    for n, (category, body) in enumerate(bodies(size)):
        before, after = body.split("@")
        head = (
            f"POST /v23.0/{SENDERS[n % len(SENDERS)]}/messages HTTP/1.1\r\nHost: graph.facebook.com\r\nUser-Agent: bench/1.0\r\nAccept: */*\r\n"
            f"Authorization: Bearer {token}\r\nContent-Type: application/json\r\nContent-Length: {len(body) + 12}\r\n\r\n"
        )
        made.append((category, head + before, after))
    return made


def wrk_script(path, size=None):
    """Writes the script. Its arguments: how recipients are chosen, among how many, how many sends a second (0: as fast as it goes), connections."""
    rows = ",\n".join(f"{{{json.dumps(category)}, {json.dumps(before)}, {json.dumps(after)}}}" for category, before, after in requests(size))
    path.write_text(f"local rows = {{\n{rows}\n}}\nlocal agreed, refused, refused_count = {AGREED}, {REFUSED}, {REFUSED_COUNT}\n{_SCRIPT}")
    return path


_SCRIPT = """
local choice, people, rate, connections, turn = "any", 1000, 0, 1, 0
local marketing = {}

function init(arguments)
  choice, people, rate, connections = arguments[1], tonumber(arguments[2]), tonumber(arguments[3]), tonumber(arguments[4])
  math.randomseed(os.time())
  for _, row in ipairs(rows) do
    if row[1] == "marketing" then marketing[#marketing + 1] = row end
  end
  if rate == 0 then delay = nil end
end

local choose = {
  any = function() return agreed + math.random(0, people - 1) end,
  known = function() return agreed + math.random(0, 999) end,
  each = function() turn = turn + 1; return agreed + (turn - 1) % people end,
  -- four of five are among the first thousand, which are kept in memory; the fifth hardly ever is
  mixed = function() return agreed + (math.random(5) > 1 and math.random(0, 999) or math.random(0, people - 1)) end,
  refused = function() return refused + math.random(0, refused_count - 1) end,
}

function request()
  local among = choice == "refused" and marketing or rows
  local row = among[math.random(#among)]
  return row[2] .. string.format("%.0f", choose[choice]()) .. row[3]
end

-- Milliseconds until a connection's next request, at random, so that all of them make the rate on average.
function delay()
  return math.random(0, 2 * math.floor(1000 * connections / rate))
end

function done(summary, latency)
  local failed = summary.errors
  io.write(string.format('\\nRESULT {"requests":%d,"microseconds":%d,"refused":%d,"broken":%d,"p50":%d,"p99":%d,"p999":%d}\\n',
    summary.requests, summary.duration, failed.status, failed.connect + failed.read + failed.write + failed.timeout,
    latency:percentile(50), latency:percentile(99), latency:percentile(99.9)))
end
"""


@dataclass
class Recipients:
    """How the recipients of a load are chosen, and among how many."""

    choice: str
    people: int


def wrk(script, port, connections, seconds, recipients, rate, cores):
    """Runs wrk for a while: how many requests, how many answers were not 2xx, how long they took in microseconds."""
    pin = ["taskset", "-c", ",".join(map(str, sorted(cores)))]
    load = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", "-s", script, f"http://127.0.0.1:{port}"]
    told = subprocess.run([*pin, *load, "--", recipients.choice, *map(str, [recipients.people, rate, connections])], capture_output=True, text=True, check=True)
    result = [line for line in told.stdout.splitlines() if line.startswith("RESULT ")]
    if not result:
        raise RuntimeError(f"wrk: {told.stdout}{told.stderr}")
    return json.loads(result[0].removeprefix("RESULT "))


class Unanswered(Exception):
    """The store took longer than the gate waits for it: a busy machine. Nothing was sent, and the round may be repeated."""


def verify(port, checks, gate, size=None):
    """Sends one after the other over a kept connection: everybody of the first thousand who agreed, then those who did not.

    Returns how many the provider must have seen, or raises with the first answer that is wrong.
    """
    made = requests(size)
    marketing = [row for row in made if row[0] == "marketing"]
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for n in range(KNOWN):
            row = made[n % len(made)]
            status, head, body = exchange(connection, f"{row[1]}{AGREED + n}{row[2]}")
            if status != 200 or b"wamid." not in body or (gate and b"optgate-decision: allow; basis=consent" not in head.lower()):
                raise RuntimeError(f"{AGREED + n} agreed to {row[0]}, and the answer is {status} {head!r} {body!r}")
        for n in range(REFUSED_COUNT):
            row = marketing[n % len(marketing)]
            status, head, body = exchange(connection, f"{row[1]}{REFUSED + n}{row[2]}")
            wanted = range(400, 500) if checks else range(200, 201)
            reason = b"consent_revoked" if n % 2 == 0 else b"no_consent"
            if status not in wanted or (checks and b'"error"' not in body) or (gate and b"deny; reason=" + reason not in head.lower()):
                raise RuntimeError(f"{REFUSED + n} agreed to nothing, and the answer is {status} {head!r} {body!r}")
    return KNOWN if checks else VERIFIED


def exchange(connection, request):
    """Writes a request and reads its answer."""
    connection.sendall(request.encode())
    told = b""
    while b"\r\n\r\n" not in told:
        told += received(connection)
    head, body = told.split(b"\r\n\r\n", 1)
    length = next(int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    while len(body) < length:
        body += received(connection)
    if b"reason=store_unavailable" in head:
        raise Unanswered("503 store_unavailable")
    return int(head[9:12]), head, body


def received(connection):
    if not (told := connection.recv(65536)):
        raise RuntimeError("the connection was closed in the middle")
    return told
