# SPDX-License-Identifier: LGPL-2.1-or-later
"""A service that answers by the contract's XML what a test tells it: for the answers a healthy daemon cannot be made to give at will."""

import os
from pathlib import Path

from gi.repository import Gio, GLib

INTERFACES = Path(__file__).resolve().parents[2] / "dbus/interfaces"


class Failure(Exception):
    """Answers with a D-Bus error."""

    def __init__(self, name, text):
        super().__init__(text)
        self.name, self.text = name, text


class Scripted:
    """@name on the bus of @place, with objects added by publish(). `calls` remembers (method, arguments)."""

    def __init__(self, place, name):
        self.name = name
        self.connection = place.system_bus().connection
        self.calls, self.objects, self.reads = [], {}, 0
        self.connection.call_sync("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "RequestName",
                                  GLib.Variant("(su)", (name, 4)), None, 0, 5000, None)

    def close(self):
        self.connection.flush_sync(None)  # a close alone drops what is still to be sent
        self.connection.close_sync(None)

    def publish(self, path, interface, properties, **methods):
        """@properties: name -> value; @methods: name -> function of the unpacked arguments (and a list of received descriptors)."""
        document = (INTERFACES / f"{interface}.xml").read_text(encoding="utf-8")
        info = Gio.DBusNodeInfo.new_for_xml(document).interfaces[0]
        types = {each.name: each.signature for each in info.properties}
        self.objects[(path, interface)] = {key: GLib.Variant(types[key], value) for key, value in properties.items()}
        closures = (self._on_call(methods), self._on_get, lambda *_: False)
        return self.connection.register_object(path, info, *closures)

    def change(self, path, interface, **values):
        known = self.objects[(path, interface)]
        changed = {key: GLib.Variant(known[key].get_type_string(), value) for key, value in values.items()}
        known.update(changed)
        self.emit(path, "org.freedesktop.DBus.Properties", "PropertiesChanged", GLib.Variant("(sa{sv}as)", (interface, changed, [])))

    def emit(self, path, interface, member, args):
        self.connection.emit_signal(None, path, interface, member, args)

    def _on_get(self, _connection, _sender, path, interface, name):
        self.reads += 1
        return self.objects[(path, interface)].get(name)

    def _on_call(self, methods):
        def handle(_connection, _sender, _path, _interface, method, args, invocation):
            message = invocation.get_message()
            fds = message.get_unix_fd_list().steal_fds() if message.get_unix_fd_list() else []
            self.calls.append((method, args.unpack()))
            function = methods.get(method)
            if function is None:
                return  # a daemon that never answers
            try:
                invocation.return_value(function(*args.unpack(), **({"fds": fds} if fds else {})))
            except Failure as failure:
                invocation.return_dbus_error(failure.name, failure.text)
            finally:
                for fd in fds:
                    os.close(fd)

        return handle
