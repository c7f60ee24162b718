# SPDX-License-Identifier: LGPL-2.1-or-later
"""The PBX of the demo: Kamailio as a registrar and proxy with its accounts and its registrations in SQLite.

Kamailio listens on the service address alone, which is not there yet when it starts on a Backup (ip_free_bind). One UDP worker and a
WAL journal: the SQLite driver of Kamailio 5.6 has no busy time-out, so two writers would answer some REGISTERs with 500.
"""

import os
import re
import shutil
import sqlite3
import subprocess
import tempfile

from sip import host_text

HOME = "/var/lib/kamailio"
LOCATION_DB = f"{HOME}/location.db"
ACCOUNTS_DB = f"{HOME}/accounts.db"
CONFIG = "/etc/kamailio/kamailio.cfg"
DIALPLAN = "/etc/kamailio/dialplan.cfg"
SCHEMA = "/usr/share/kamailio/db_sqlite"
PORT = 5060

CONFIG_TEXT = """\
#!KAMAILIO
# Registrar and proxy of the demo. Phones register with digest authentication; a call to a registered number is routed to its contact.
debug=1
log_stderror=yes
log_name="kamailio"
children=1
socket_workers=1
disable_tcp=yes
auto_aliases=no
dns=no
rev_dns=no
ip_free_bind=1
@LISTEN@
user_agent_header="User-Agent: pbx"
server_header="Server: pbx"

loadmodule "kex.so"
loadmodule "ctl.so"
loadmodule "db_sqlite.so"
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "maxfwd.so"
loadmodule "textops.so"
loadmodule "siputils.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
loadmodule "auth.so"
loadmodule "auth_db.so"

modparam("ctl", "binrpc", "unix:@HOME@/ctl")
modparam("tm", "fr_timer", 5000)
modparam("tm", "fr_inv_timer", 20000)
modparam("usrloc", "db_url", "sqlite:///@LOCATION@")
modparam("usrloc", "db_mode", 1)
modparam("usrloc", "use_domain", 0)
modparam("registrar", "max_contacts", 2)
modparam("registrar", "max_expires", 7200)
modparam("auth_db", "db_url", "sqlite:///@ACCOUNTS@")
modparam("auth_db", "calculate_ha1", 1)
modparam("auth_db", "password_column", "password")
modparam("auth_db", "use_domain", 0)

request_route {
	if (!mf_process_maxfwd_header("10")) {
		sl_send_reply("483", "Too Many Hops");
		exit;
	}
	if (is_method("OPTIONS") && uri == myself && $rU == $null) {
		sl_send_reply("200", "OK");
		exit;
	}
	if (is_method("CANCEL")) {
		if (t_check_trans()) t_relay();
		exit;
	}
	if (has_totag()) {
		if (loose_route()) {
			t_relay();
			exit;
		}
		if (is_method("ACK") && t_check_trans()) t_relay();
		else if (!is_method("ACK")) sl_send_reply("404", "Not here");
		exit;
	}
	if (is_method("REGISTER")) {
		if (!auth_check("pbx", "subscriber", "0")) {
			auth_challenge("pbx", "0");
			exit;
		}
		consume_credentials();
		if (!save("location")) sl_reply_error();
		exit;
	}
	t_check_trans();
	remove_hf("Route");
	if (is_method("INVITE")) record_route();
	route(DIALPLAN);
	if (!lookup("location")) {
		t_newtran();
		t_reply("404", "Not Found");
		exit;
	}
	t_relay();
	exit;
}

include_file "@DIALPLAN@"
"""

DIALPLAN_TEXT = """\
# Short numbers.
route[DIALPLAN] {
@RULES@	return;
}
"""



def real_time_allowed():
    """A telephone exchange comes before whatever else its machine does, where the kernel lets root say so."""
    return subprocess.run(["chrt", "--fifo", "1", "true"], stderr=subprocess.DEVNULL, check=False).returncode == 0


# It gives up root by itself: real time is given before, and passes on to its workers.
COMMAND = f"/usr/sbin/kamailio -DD -E -m 32 -M 8 -u kamailio -g kamailio -f {CONFIG} -Y {HOME} -w {HOME}"
APPLICATION_TEXT = f"""\
[application]
description=Kamailio SIP server
command={"/usr/bin/chrt --fifo 1 " if real_time_allowed() else ""}{COMMAND}
ready=command
ready-command=/usr/bin/grep -q :{PORT:04X} /proc/net/udp /proc/net/udp6
stop-timeout-ms=3000

[data config]
path=/etc/kamailio
ref=config

[data accounts]
path={ACCOUNTS_DB}
ref=config
kind=sqlite

[data registrations]
path={LOCATION_DB}
ref=volatile
kind=sqlite
"""


def fill(text, **words):
    for name, value in words.items():
        text = text.replace(f"@{name}@", str(value))
    return text


def config_text(*services):
    listen = "\n".join(f"listen=udp:{host_text(service)}:{PORT}" for service in services)
    return fill(CONFIG_TEXT, LISTEN=listen, HOME=HOME, LOCATION=LOCATION_DB, ACCOUNTS=ACCOUNTS_DB, DIALPLAN=DIALPLAN)


def dialplan_text(short_numbers):
    """short_numbers: {"900": "1001"}."""
    rules = "".join(f'\tif ($rU == "{short}") $rU = "{number}";\n' for short, number in sorted(short_numbers.items()))
    return fill(DIALPLAN_TEXT, RULES=rules)


def make_database(path, schemas, rows=()):
    """An empty Kamailio database in WAL mode, with rows (statement, arguments) in it."""
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA journal_mode=WAL")
        for name in schemas:
            with open(f"{SCHEMA}/{name}-create.sql", encoding="utf-8") as schema:
                database.executescript(schema.read())
        for statement, arguments in rows:
            database.execute(statement, arguments)
    database.close()


def install(device, service, accounts, short_numbers):
    """Sets the PBX up on a device that is off: configuration for the service address (or several, with blanks between), accounts
    {user: password}, an empty registrar. On the device that joins
    later this is overwritten by the first synchronisation; it gets only what a package installation leaves: the folders."""
    uid, gid = device.account("kamailio")
    os.makedirs(device.file(HOME), exist_ok=True)
    os.chown(device.file(HOME), uid, gid)
    if accounts is None:
        return
    device.write(CONFIG, config_text(*service.split()))
    device.write(DIALPLAN, dialplan_text(short_numbers))
    with tempfile.TemporaryDirectory() as folder:
        make_database(f"{folder}/location.db", ["standard", "usrloc"])
        make_database(f"{folder}/accounts.db", ["standard", "auth_db"],
                      [("insert into subscriber (username, domain, password) values (?, '', ?)", pair) for pair in accounts.items()])
        for name in ("location.db", "accounts.db"):
            place = device.file(f"{HOME}/{name}")
            shutil.copy(f"{folder}/{name}", place)
            os.chown(place, uid, gid)
            os.chmod(place, 0o640)


def contacts_in(database):
    """Users with a binding in a registrar database (a host path)."""
    if not os.path.exists(database):
        return set()
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    try:
        return {row[0] for row in connection.execute("select username from location")}
    finally:
        connection.close()


def complaints(log):
    """Kamailio's own lines of error in a device's console."""
    return [line for line in log.splitlines() if re.search(r"kamailio.*(ERROR|CRITICAL)", line)]
