"""Tries every way out of a pod, and prints what came of each as one JSON line.

An attempt ends as "reached" (something outside the pod answered, or a boundary of the pod was crossed), "blocked", or
"unsupported" (this kernel or interpreter has no such thing). Beside it stands the number of packets that left the pod
meanwhile: sending into the void is an escape too. The last line holds the counters of the pod's devices.

usage: prober.py [SETTINGS]     SETTINGS is JSON; every key is optional:
  targets   [{"name", "kind": "tcp"|"udp"|"dns"|"ping"|"sctp"|"name", "host", "port"}] beside the fixed ones
  fixed     false leaves the fixed attempts out
  sockets   directories that are searched for sockets
  listen    port on which this process answers, TCP and UDP
  stay      true: do not end, so that the listener goes on
"""

import errno
import json
import os
import select
import socket
import stat
import struct
import sys
import threading
import time

PATIENCE = 1.5
CLONE_NEWUSER, CLONE_NEWNET, CLONE_NEWNS = 0x10000000, 0x40000000, 0x00020000
UNSUPPORTED = {errno.EPROTONOSUPPORT, errno.ESOCKTNOSUPPORT, errno.EAFNOSUPPORT, errno.ENOSYS, errno.ENOPROTOOPT}
# The other end said no: whoever can be told no is reached.
ANSWERED = {errno.ECONNREFUSED, errno.ECONNRESET}
DNS_QUESTION = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07example\x03com\x00\x00\x01\x00\x01"


class Unsupported(Exception):
    """This machine has no such thing."""


def counters():
    """Packets and bytes that each device but the loopback has sent."""
    sent = {}
    with open("/proc/net/dev", encoding="ascii") as file:
        for line in file.readlines()[2:]:
            name, numbers = line.split(":")
            fields = numbers.split()
            if name.strip() != "lo":
                sent[name.strip()] = {"packets": int(fields[9]), "bytes": int(fields[8])}
    return sent


def packets_sent():
    return sum(device["packets"] for device in counters().values())


def devices():
    return [name for _, name in socket.if_nameindex() if name != "lo"]


def first_device():
    names = devices()
    if not names:
        raise Unsupported("the pod has no device")
    return names[0]


def addresses(host, port, kind):
    try:
        return socket.getaddrinfo(host, port, 0, kind)[0]
    except socket.gaierror as error:
        raise OSError(errno.ENETUNREACH, "no address: " + str(error)) from error


def tcp(host, port, protocol=0):
    family, kind, _, _, address = addresses(host, port, socket.SOCK_STREAM)
    with socket.socket(family, kind, protocol) as sock:
        sock.settimeout(PATIENCE)
        sock.connect(address)
    return "connected"


def sctp(host, port):
    return tcp(host, port, 132)


def exchange(sock, address, message):
    sock.settimeout(PATIENCE)
    sock.connect(address)
    sock.send(message)
    return f"{len(sock.recv(2048))} bytes came back"


def udp(host, port, message=b"?"):
    family, kind, _, _, address = addresses(host, port, socket.SOCK_DGRAM)
    with socket.socket(family, kind) as sock:
        return exchange(sock, address, message)


def dns(host, port):
    return udp(host, port, DNS_QUESTION)


def name(host, _port):
    for _, _, _, _, address in socket.getaddrinfo(host, None):
        return "is " + str(address[0])
    raise OSError(errno.ENOENT, "no address")


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


def echo_request():
    body = struct.pack("!HH", os.getpid() & 0xFFFF, 1) + b"ssf-probe!"
    return struct.pack("!BBH", 8, 0, checksum(struct.pack("!BBH", 8, 0, 0) + body)) + body


def ping(host, _port, kind=socket.SOCK_DGRAM):
    with socket.socket(socket.AF_INET, kind, socket.IPPROTO_ICMP) as sock:
        return exchange(sock, (host, 0), echo_request())


def raw_ping(host, port):
    return ping(host, port, socket.SOCK_RAW)


def frame():
    """A broadcast on the wire, below every rule about addresses."""
    device = first_device()
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0003)) as sock:
        sock.bind((device, 0))
        sock.send(b"\xff" * 6 + b"\x02" + b"\x00" * 5 + b"\x88\xb5" + b"ssf-probe".ljust(46, b"\0"))
    return "sent a frame"


def datagram(host, port):
    """Sends without hope of an answer; the counters tell."""

    def run():
        device = first_device()
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, socket.if_nametoindex(device))
                address = (host, port, 0, socket.if_nametoindex(device))
            else:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
                own = own_address()
                if own is not None:
                    sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(own))
                    sock.bind((own, 0))
                address = (host, port)
            sock.settimeout(PATIENCE)
            sock.sendto(b"ssf-probe", address)
            return f"{len(sock.recv(2048))} bytes came back"

    return run


def own_address():
    """The pod's address, asked of the first device."""
    import fcntl

    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            answer = fcntl.ioctl(sock.fileno(), 0x8915, struct.pack("256s", first_device().encode()))
        return socket.inet_ntoa(answer[20:24])
    except (OSError, Unsupported):
        return None


def neighbours(prefix="192.0.2."):
    """Other pods in the jail's own network."""

    def run():
        own = own_address()
        for last in range(1, 255):
            if prefix + str(last) == own:
                continue
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.setblocking(False)
                sock.sendto(b"ssf-probe", (prefix + str(last), 9))
        time.sleep(PATIENCE)
        with open("/proc/net/arp", encoding="ascii") as file:
            found = [line.split()[0] for line in file.readlines()[1:] if line.split()[3] != "00:00:00:00:00:00"]
        if not [address for address in found if address.startswith(prefix)]:
            raise OSError(errno.EHOSTUNREACH, "no neighbour answers")
        return "neighbours: " + ", ".join(found)

    return run


def abstract_sockets():
    """Sockets without a path belong to the network namespace: whoever shares one is found here."""
    with open("/proc/net/unix", encoding="utf8", errors="replace") as file:
        names = [line.split()[7] for line in file.readlines()[1:] if len(line.split()) > 7]
    for found in (name for name in names if name.startswith("@")):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.settimeout(PATIENCE)
            sock.connect("\0" + found[1:])
            return "connected to " + found
    raise OSError(errno.ENOENT, "there is none")


def path_sockets(directories):
    def run():
        seen = []
        for directory in directories:
            for folder, _, files in os.walk(directory, onerror=lambda _: None):
                for file in files:
                    path = os.path.join(folder, file)
                    try:
                        if stat.S_ISSOCK(os.lstat(path).st_mode):
                            seen.append(path)
                    except OSError:
                        continue
        for path in seen:
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                try:
                    with socket.socket(socket.AF_UNIX, kind) as sock:
                        sock.settimeout(PATIENCE)
                        sock.connect(path)
                        return "connected to " + path
                except OSError:
                    continue
        raise OSError(errno.ENOENT, f"none that answers among {len(seen)}")

    return run


def vsock():
    with socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM) as sock:
        sock.settimeout(PATIENCE)
        sock.connect((2, 22))
    return "connected to the host"


def netlink():
    """Gives the loopback an address more: whoever may do that may also make devices and routes."""
    body = struct.pack("=BBBBI", socket.AF_INET, 32, 0, 0, socket.if_nametoindex("lo"))
    for attribute in (1, 2):
        body += struct.pack("=HH4s", 8, attribute, socket.inet_aton("198.51.100.77"))
    message = struct.pack("=IHHII", 16 + len(body), 20, 0x5 | 0x200, 1, 0) + body
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as sock:
        sock.bind((0, 0))
        sock.send(message)
        answer = sock.recv(4096)
    code = -struct.unpack("=i", answer[16:20])[0]
    if code not in (0, errno.EEXIST):
        raise OSError(code, os.strerror(code))
    return "changed the pod's own network"


def library():
    try:
        import ctypes
    except ImportError as error:
        raise Unsupported("this interpreter calls no C") from error
    return ctypes, ctypes.CDLL(None, use_errno=True)


def in_child(work):
    """Runs work in a process of its own, so that what it changes ends with it."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            work()
            code = 0
        except OSError as error:
            code = error.errno or errno.EPERM
        os.write(writer, struct.pack("=i", code))
        os._exit(0)
    os.close(writer)
    answer = os.read(reader, 4)
    os.close(reader)
    os.waitpid(child, 0)
    code = struct.unpack("=i", answer)[0] if len(answer) == 4 else errno.EPERM
    if code:
        raise OSError(code, os.strerror(code))


def unshare(flags):
    def run():
        ctypes, libc = library()

        def work():
            if libc.unshare(flags) != 0:
                raise OSError(ctypes.get_errno(), "unshare")

        in_child(work)
        return "made a namespace"

    return run


def mount():
    ctypes, libc = library()

    def work():
        if libc.mount(b"none", b"/tmp", b"tmpfs", 0, None) != 0:
            raise OSError(ctypes.get_errno(), "mount")
        libc.umount(b"/tmp")

    in_child(work)
    return "mounted a file system"


def device_node(path, flags=os.O_RDWR):
    def run():
        os.close(os.open(path, flags))
        return "opened " + path

    return run


def credentials():
    """Tokens that Kubernetes, a cloud or an identity service would leave for the pod."""
    for folder in ("/var/run/secrets", "/run/secrets", "/spiffe-workload-api", "/run/spire", "/tmp/spire-agent"):
        for directory, _, files in os.walk(folder, onerror=lambda _: None):
            for file in files:
                if os.access(os.path.join(directory, file), os.R_OK):
                    return "read " + os.path.join(directory, file)
    raise OSError(errno.ENOENT, "there are none")


def first_line(path, prefix):
    try:
        with open(path, encoding="utf8") as file:
            return next((line.split()[1] for line in file if line.startswith(prefix)), None)
    except OSError:
        return None


def fixed(sockets):
    api = os.environ.get("KUBERNETES_SERVICE_HOST", "10.96.0.1")
    api_port = int(os.environ.get("KUBERNETES_SERVICE_PORT", "443"))
    resolver = first_line("/etc/resolv.conf", "nameserver") or "10.96.0.10"
    if resolver.startswith("127."):
        resolver = "10.96.0.10"
    return [
        ("TCP to the outside, 1.1.1.1:443", lambda: tcp("1.1.1.1", 443)),
        ("TCP to the outside by name, pypi.org:443", lambda: tcp("pypi.org", 443)),
        ("TCP to the API server's service", lambda: tcp(api, api_port)),
        ("TCP to the cluster's DNS", lambda: tcp(resolver, 53)),
        ("DNS question to the cluster's DNS", lambda: dns(resolver, 53)),
        ("DNS question to 8.8.8.8", lambda: dns("8.8.8.8", 53)),
        ("name of a service", lambda: name("kubernetes.default.svc.cluster.local", 0)),
        ("UDP to 8.8.8.8:443", lambda: udp("8.8.8.8", 443)),
        ("ICMP echo, ping socket", lambda: ping(resolver, 0)),
        ("ICMP echo, raw socket", lambda: raw_ping(resolver, 0)),
        ("Ethernet frame, packet socket", frame),
        ("SCTP to the API server's service", lambda: sctp(api, api_port)),
        ("IPv6 link-local router, fe80::1", datagram("fe80::1", 9)),
        ("IPv6 all nodes, ff02::1", datagram("ff02::1", 9)),
        ("IPv6 unique local address, fd00::1", lambda: tcp("fd00::1", 443)),
        ("IPv6 outside, 2606:4700:4700::1111", lambda: tcp("2606:4700:4700::1111", 443)),
        ("metadata service, 169.254.169.254", lambda: tcp("169.254.169.254", 80)),
        ("metadata service, fd00:ec2::254", lambda: tcp("fd00:ec2::254", 80)),
        ("IPv4 multicast, 224.0.0.251", datagram("224.0.0.251", 5353)),
        ("IPv4 broadcast, 255.255.255.255", datagram("255.255.255.255", 9)),
        ("abstract unix sockets", abstract_sockets),
        ("unix sockets in any directory", path_sockets(sockets)),
        ("vsock to the host", vsock),
        ("netlink: another address", netlink),
        ("unshare: user and network namespace", unshare(CLONE_NEWUSER | CLONE_NEWNET)),
        ("unshare: mount namespace", unshare(CLONE_NEWNS)),
        ("mount", mount),
        ("device /dev/net/tun", device_node("/dev/net/tun")),
        ("device /dev/kmsg", device_node("/dev/kmsg", os.O_RDONLY)),
        ("kernel setting core_pattern", device_node("/proc/sys/kernel/core_pattern", os.O_WRONLY)),
        ("credentials in files", credentials),
        # Last, because unanswered questions for neighbours are asked again for a while.
        ("neighbours in the jail, 192.0.2.0/24", neighbours()),
    ]


KINDS = {"tcp": tcp, "udp": udp, "dns": dns, "ping": ping, "sctp": sctp, "name": name}


def given(targets):
    for target in targets:
        call = KINDS[target["kind"]]
        yield target["name"], lambda call=call, target=target: call(target["host"], target.get("port", 0))


def attempt(title, run):
    before = packets_sent()
    try:
        outcome, detail = "reached", run()
    except Unsupported as error:
        outcome, detail = "unsupported", str(error)
    except (socket.timeout, BlockingIOError):
        outcome, detail = "blocked", "no answer"
    except socket.gaierror as error:
        outcome, detail = "blocked", str(error)
    except OSError as error:
        detail = errno.errorcode.get(error.errno, "") + " " + (error.strerror or str(error))
        outcome = {**dict.fromkeys(ANSWERED, "reached"), **dict.fromkeys(UNSUPPORTED, "unsupported")}.get(
            error.errno, "blocked"
        )
    return {"attempt": title, "outcome": outcome, "detail": detail.strip(), "packets": packets_sent() - before}


def serve(port):
    listener = socket.create_server(("0.0.0.0", port))
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    datagrams.bind(("0.0.0.0", port))

    def answer():
        while True:
            ready, _, _ = select.select([listener, datagrams], [], [])
            if listener in ready:
                listener.accept()[0].close()
            if datagrams in ready:
                _, sender = datagrams.recvfrom(2048)
                datagrams.sendto(b"!", sender)

    threading.Thread(target=answer, daemon=True).start()


def main():
    settings = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}
    os.environ.setdefault("RES_OPTIONS", "timeout:1 attempts:1")
    if "listen" in settings:
        serve(settings["listen"])
    before = counters()
    attempts = list(given(settings.get("targets", [])))
    if settings.get("fixed", True):
        attempts += fixed(settings.get("sockets", ["/run", "/var/run", "/tmp", "/tekton", "/workspace"]))
    for title, run in attempts:
        print(json.dumps(attempt(title, run)), flush=True)
    print(json.dumps({"before": before, "after": counters()}), flush=True)
    while settings.get("stay", False):
        time.sleep(3600)


if __name__ == "__main__":
    main()
