/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/unit/settings/test-bad.c - every defect of a text, told with its file and line. */
#include <locale.h>
#include <string.h>

#include "settings/settings-private.h"
#include "settings/settings.h"
#include "test-settings.h"

/* One defect each; which of the three texts is not the good one says which file the error must name. */
typedef struct {
	const char *name;
	const char *device, *pair, *application;
	const char *message;
} Bad;

#define D "[device]\nid=a\n"
#define L "[interface lan]\ndevice=eth0\naddress=192.0.2.11/24\n"
#define D6 "[device]\nid=a\n[interface lan]\ndevice=eth0\n"
#define P "[pair]\ngroup-id=1\n"
#define G6 "[group g]\ninterface=lan\naddresses=2001:db8::10/64\n"
#define G46 "[group g]\ninterface=lan\naddresses=192.0.2.10/24,2001:db8::10/64\n"
#define G "[group g]\ninterface=lan\naddresses=192.0.2.10/24\n"
#define A "[application]\ncommand=/b\n"

static const Bad bad[] = {
	/* the scanner */
	{ "unknown-section", D "[devise]\n", .message = "device.conf:3: unknown section [devise]" },
	{ "unknown-named-section", D "[inter face]\n", .message = "device.conf:3: unknown section [inter face]" },
	{ "unknown-key", D "\n# x\nnmae=b\n", .message = "device.conf:5: unknown key \"nmae\" in section [device]" },
	{ "unknown-key-named", D "[interface lan]\nmtu=9\n", .message = "device.conf:4: unknown key \"mtu\" in section [interface lan]" },
	{ "key-case", "[device]\nID=a\n", .message = "device.conf:2: unknown key \"ID\" in section [device]" },
	{ "duplicate-key", D "name=x\nid=b\n", .message = "device.conf:4: duplicate key \"id\"; the first is on line 2" },
	{ "duplicate-section", D "[peer]\n[device]\n", .message = "device.conf:4: duplicate section [device]; the first is on line 1" },
	{ "duplicate-named", D L "[interface  lan]\n", .message = "device.conf:6: duplicate section [interface lan]; the first is on line 3" },
	{ "name-missing", D "[interface]\n", .message = "device.conf:3: section [interface] needs a name: [interface NAME]" },
	{ "name-surplus", "[device x]\n", .message = "device.conf:1: section [device] takes no name" },
	{ "name-bad", D "[interface a b]\n", .message = "device.conf:3: \"a b\" is no name: letters, digits, *" },
	{ "name-path", D "[interface ../x]\n", .message = "device.conf:3: \"../x\" is no name: *" },
	{ "section-open", "[device\n", .message = "device.conf:1: a section ends in \"]\": [device" },
	{ "section-bare", "[\n", .message = "device.conf:1: a section ends in \"]\": [" },
	{ "no-equals", D "hello\n", .message = "device.conf:3: neither [section] nor key=value: hello" },
	{ "no-key", D "=x\n", .message = "device.conf:3: no key before \"=\"" },
	{ "before-section", "id=a\n", .message = "device.conf:1: key \"id\" stands before the first [section]" },
	{ "not-utf8", D "name=\xff\n", .message = "device.conf:3: not UTF-8 text" },
	{ "control", D "name=a\x01\x62\n", .message = "device.conf:3: control character 0x01" },

	/* device.conf */
	{ "device-missing", L, .message = "device.conf:1: section [device] is missing" },
	{ "device-empty", "", .message = "device.conf:1: section [device] is missing" },
	{ "id-missing", "\n[device]\nname=x\n", .message = "device.conf:2: section [device] needs the key \"id\"" },
	{ "id-empty", "[device]\nid=\n", .message = "device.conf:2: \"id\" has no value" },
	{ "id-blank", "[device]\nid=a b\n", .message = "device.conf:2: \"id\" is letters, digits, *, not \"a b\"" },
	{ "id-slash", "[device]\nid=a/b\n", .message = "device.conf:2: \"id\" is letters, *, not \"a/b\"" },
	{ "id-dots", "[device]\nid=..\n", .message = "device.conf:2: \"id\" is letters, *, not \"..\"" },
	{ "id-long", "[device]\nid=0123456789012345678901234567890123456789012345678901234567890123x\n",
	  .message = "device.conf:2: \"id\" is letters, *" },
	{ "device-name-empty", D "name=\n", .message = "device.conf:3: \"name\" has no value" },
	{ "link-missing", D "[interface lan]\naddress=192.0.2.1/24\n", .message = "device.conf:3: section [interface lan] needs the key \"device\"" },
	{ "link-long", D "[interface lan]\ndevice=abcdefghijklmnop\naddress=192.0.2.1/24\n",
	  .message = "device.conf:4: \"abcdefghijklmnop\" is no name of a network interface" },
	{ "link-slash", D "[interface lan]\ndevice=a/b\naddress=192.0.2.1/24\n", .message = "device.conf:4: \"a/b\" is no name of *" },
	{ "link-twice", D L "[interface wan]\ndevice=eth0\naddress=192.0.2.1/24\n",
	  .message = "device.conf:7: eth0 is already the device of interface lan" },
	{ "address-missing", D "[interface lan]\ndevice=eth0\n", .message = "device.conf:3: section [interface lan] needs the key \"address\" or \"address6\"" },
	{ "address-no-prefix", D "[interface lan]\ndevice=eth0\naddress=192.0.2.1\n",
	  .message = "device.conf:5: \"192.0.2.1\" is no IPv4 address with its prefix length, such as *" },
	{ "address-word", D "[interface lan]\ndevice=eth0\naddress=lan/24\n", .message = "device.conf:5: \"lan\" is no IPv4 address" },
	{ "address-octet", D "[interface lan]\ndevice=eth0\naddress=192.0.2.256/24\n", .message = "device.conf:5: \"192.0.2.256\" is no IPv4 address" },
	{ "address-three", D "[interface lan]\ndevice=eth0\naddress=192.0.2/24\n", .message = "device.conf:5: \"192.0.2\" is no IPv4 address" },
	{ "address-prefix-33", D "[interface lan]\ndevice=eth0\naddress=192.0.2.1/33\n", .message = "device.conf:5: \"192.0.2.1/33\" is no *" },
	{ "address-prefix-0", D "[interface lan]\ndevice=eth0\naddress=192.0.2.1/0\n", .message = "device.conf:5: \"192.0.2.1/0\" is no *" },
	{ "address-prefix-word", D "[interface lan]\ndevice=eth0\naddress=192.0.2.1/2x\n", .message = "device.conf:5: \"192.0.2.1/2x\" is no *" },
	{ "address-multicast", D "[interface lan]\ndevice=eth0\naddress=224.0.0.18/24\n", .message = "device.conf:5: 224.0.0.18 is no address of a device" },
	{ "address-zero", D "[interface lan]\ndevice=eth0\naddress=0.0.0.0/24\n", .message = "device.conf:5: 0.0.0.0 is no address of a device" },
	{ "address-first", D "[interface lan]\ndevice=eth0\naddress=192.0.2.0/24\n",
	  .message = "device.conf:5: 192.0.2.0 is the first address of its network, no device's" },
	{ "address-broadcast", D "[interface lan]\ndevice=eth0\naddress=192.0.2.255/24\n",
	  .message = "device.conf:5: 192.0.2.255 is the broadcast address of its network, no device's" },
	{ "address-twice", D L "[interface wan]\ndevice=eth1\naddress=192.0.2.11/25\n",
	  .message = "device.conf:8: 192.0.2.11 is already the address of interface lan" },
	{ "agentx-relative", D "[snmp]\nagentx=unix:agentx\n", .message = "device.conf:4: \"unix:agentx\" is no path of a socket, as in unix:/var/agentx/master" },
	{ "agentx-tcp", D "[snmp]\nagentx=tcp:127.0.0.1:705\n", .message = "device.conf:4: \"tcp:127.0.0.1:705\" is no path of a socket, as in unix:/var/agentx/master" },
	{ "agentx-empty", D "[snmp]\nagentx=\n", .message = "device.conf:4: \"agentx\" has no value" },
	{ "peer-bad", D "[peer]\naddresses=10.0.0.2, x\n", .message = "device.conf:4: \"x\" is no IPv4 or IPv6 address" },
	{ "peer-prefix", D "[peer]\naddresses=10.0.0.2/24\n", .message = "device.conf:4: \"10.0.0.2/24\" is no IPv4 or IPv6 address" },
	{ "peer-twice", D "[peer]\naddresses=10.0.0.2,10.0.0.2\n", .message = "device.conf:4: 10.0.0.2 is there twice" },
	{ "peer-self", D "[peer]\naddresses=192.0.2.11\n" L,
	  .message = "device.conf:4: 192.0.2.11 is this device's own address on interface lan, not the peer's" },

	/* pair.conf */
	{ "pair-missing", .pair = G, .message = "pair.conf:1: section [pair] is missing" },
	{ "group-id-missing", .pair = "[pair]\n" G, .message = "pair.conf:1: section [pair] needs the key \"group-id\"" },
	{ "group-id-0", .pair = "[pair]\ngroup-id=0\n" G, .message = "pair.conf:2: \"group-id\" is a number from 1 to 255, not \"0\"" },
	{ "group-id-256", .pair = "[pair]\ngroup-id=256\n" G, .message = "pair.conf:2: \"group-id\" is a number from 1 to 255, not \"256\"" },
	{ "group-id-negative", .pair = "[pair]\ngroup-id=-1\n" G, .message = "pair.conf:2: \"group-id\" is a number from 1 to 255, not \"-1\"" },
	{ "group-id-word", .pair = "[pair]\ngroup-id=5x\n" G, .message = "pair.conf:2: \"group-id\" is a number from 1 to 255, not \"5x\"" },
	{ "pair-unknown-key", .pair = P "preempt=true\n" G, .message = "pair.conf:3: unknown key \"preempt\" in section [pair]" },
	{ "pair-duplicate-key", .pair = P "group-id=1\n" G, .message = "pair.conf:3: duplicate key \"group-id\"; the first is on line 2" },
	{ "enabled-bad", .pair = P "enabled=yes\n" G, .message = "pair.conf:3: \"enabled\" is true or false, not \"yes\"" },
	{ "version-4", .pair = P "vrrp-version=4\n" G, .message = "pair.conf:3: \"vrrp-version\" is one of 2, 3, not \"4\"" },
	{ "interval-v3-step", .pair = P "advert-interval-ms=105\n" G, .message = "pair.conf:3: VRRP version 3 *a multiple of 10, not 105" },
	{ "interval-v3-small", .pair = P "advert-interval-ms=0\n" G, .message = "pair.conf:3: \"advert-interval-ms\" is a number from 10 to 40950, not \"0\"" },
	{ "interval-v3-large", .pair = P "advert-interval-ms=40960\n" G, .message = "pair.conf:3: \"advert-interval-ms\" is a number from 10 to 40950, *" },
	{ "interval-v2-step", .pair = P "advert-interval-ms=1500\nvrrp-version=2\n" G, .message = "pair.conf:3: VRRP version 2 *a multiple of 1000, not 1500" },
	{ "interval-v2-small", .pair = P "vrrp-version=2\nadvert-interval-ms=100\n" G, .message = "pair.conf:4: \"advert-interval-ms\" is a number from 1000 to 255000, *" },
	{ "priority-255", .pair = P "priority=255\n" G, .message = "pair.conf:3: \"priority\" is a number from 1 to 254, not \"255\"" },
	{ "priority-0", .pair = P "priority=0\n" G, .message = "pair.conf:3: \"priority\" is a number from 1 to 254, not \"0\"" },
	{ "virtual-mac-bad", .pair = P "virtual-mac=on\n" G, .message = "pair.conf:3: \"virtual-mac\" is true or false, not \"on\"" },
	{ "multicast-bad", .pair = P "multicast=\n" G, .message = "pair.conf:3: \"multicast\" is true or false, not \"\"" },
	{ "peer-port-0", .pair = P "peer-port=0\n" G, .message = "pair.conf:3: \"peer-port\" is a number from 1 to 65534, *" },
	/* Pairing listens on the port after it. */
	{ "peer-port-last", .pair = P "peer-port=65535\n" G, .message = "pair.conf:3: \"peer-port\" is a number from 1 to 65534, *" },
	{ "gui-port-large", .pair = P "gui-port=65536\n" G, .message = "pair.conf:3: \"gui-port\" is a number from 1 to 65535, *" },
	{ "ports-alike", .pair = P "gui-port=7443\n" G, .message = "pair.conf:3: \"peer-port\" and \"gui-port\" are both 7443" },
	{ "peer-timeout", .pair = P "peer-timeout-ms=10\n" G, .message = "pair.conf:3: \"peer-timeout-ms\" is a number from 500 to 600000, *" },
	{ "sync-interval", .pair = P "sync-interval-s=0\n" G, .message = "pair.conf:3: \"sync-interval-s\" is a number from 1 to 86400, *" },
	{ "recovery-limit", .pair = P "recovery-limit-s=86401\n" G, .message = "pair.conf:3: \"recovery-limit-s\" is a number from 0 to 86400, *" },
	{ "recordings-aside", .pair = P "recordings-aside-days=36501\n" G, .message = "pair.conf:3: \"recordings-aside-days\" is a number from 0 to 36500, *" },
	{ "cold-boot", .pair = P "cold-boot-wait-ms=x\n" G, .message = "pair.conf:3: \"cold-boot-wait-ms\" is a number from 0 to 600000, *" },
	{ "first-answer", .pair = P "first-answer-ms=600001\n" G, .message = "pair.conf:3: \"first-answer-ms\" is a number from 0 to 600000, *" },
	{ "no-group", .pair = P, .message = "pair.conf:1: section [group NAME] is missing: *" },
	{ "group-no-interface", .pair = P "[group g]\naddresses=192.0.2.10/24\n", .message = "pair.conf:3: section [group g] needs the key \"interface\"" },
	{ "group-strange-interface", .pair = P "[group g]\ninterface=dmz\naddresses=192.0.2.10/24\n", .message = "pair.conf:4: device.conf has no [interface dmz]" },
	{ "group-empty", .pair = P "[group g]\ninterface=lan\n", .message = "pair.conf:3: group g has neither addresses nor routes" },
	{ "group-elects-bad", .pair = P G "elects=maybe\n", .message = "pair.conf:6: \"elects\" is true or false, not \"maybe\"" },
	{ "none-elects", .pair = P G "elects=false\n", .message = "pair.conf:3: no group elects; give exactly one of them elects=true" },
	{ "none-of-two-elects", .pair = P G "[group h]\ninterface=wan\naddresses=203.0.113.10/24\n", .message = "pair.conf:6: no group elects; *" },
	{ "two-elect", .pair = P G "elects=true\n[group h]\ninterface=wan\naddresses=203.0.113.10/24\nelects=true\n",
	  .message = "pair.conf:10: group g elects already (line 6); exactly one does, the others follow it" },
	{ "elects-without-address", .pair = P "[group g]\ninterface=lan\nroutes=default via 192.0.2.1\n",
	  .message = "pair.conf:3: group g elects and so needs an address" },
	{ "service-bad", .pair = P "[group g]\ninterface=lan\naddresses=192.0.2.10/24, 192.0.2.300/24\n", .message = "pair.conf:5: \"192.0.2.300\" is no IPv4 or IPv6 address" },
	{ "service-no-prefix", .pair = P "[group g]\ninterface=lan\naddresses=192.0.2.10\n", .message = "pair.conf:5: \"192.0.2.10\" is no IPv4 or IPv6 address with *" },
	{ "service-twice", .pair = P "[group g]\ninterface=lan\naddresses=192.0.2.10/24,192.0.2.10/25\n", .message = "pair.conf:5: 192.0.2.10 is already an address of group g" },
	{ "service-two-groups", .pair = P G "elects=true\n[group h]\ninterface=wan\naddresses=192.0.2.10/24\n",
	  .message = "pair.conf:9: 192.0.2.10 is already an address of group g" },
	{ "service-own", .pair = P "[group g]\ninterface=lan\naddresses=192.0.2.11/24\n",
	  .message = "pair.conf:5: 192.0.2.11 is this device's own address on interface lan; a service address belongs to neither device" },
	{ "service-peer", .pair = P "[group g]\ninterface=lan\naddresses=192.0.2.12/24\n",
	  .message = "pair.conf:5: 192.0.2.12 is the peer's own address; a service address belongs to neither device" },
	{ "route-words", .pair = P G "routes=default 192.0.2.1\n", .message = "pair.conf:6: \"default 192.0.2.1\" is no route: *" },
	{ "route-surplus", .pair = P G "routes=default via 192.0.2.1 dev eth0\n", .message = "pair.conf:6: \"default via 192.0.2.1 dev eth0\" is no route: *" },
	{ "route-gateway", .pair = P G "routes=default via 1.2.3\n", .message = "pair.conf:6: \"1.2.3\" is no IPv4 or IPv6 address" },
	{ "route-network", .pair = P G "routes=198.51.100.1/24 via 192.0.2.1\n", .message = "pair.conf:6: 198.51.100.1/24 is no network: bits are set beyond its prefix" },
	{ "route-twice", .pair = P G "routes=default via 192.0.2.1; default via  192.0.2.1\n", .message = "pair.conf:6: route \"default via 192.0.2.1\" is already in group g" },
	{ "revision-part", .pair = P G "[revision]\nterm=1\ndevice=a\n", .message = "pair.conf:6: section [revision] needs the key \"n\"" },
	{ "revision-word", .pair = P G "[revision]\nterm=x\ndevice=a\nn=1\n", .message = "pair.conf:7: \"term\" is a whole number, not \"x\"" },
	{ "revision-large", .pair = P G "[revision]\nterm=1\ndevice=a\nn=18446744073709551616\n", .message = "pair.conf:9: \"n\" is a whole number, *" },
	{ "revision-port", .pair = P G "[revision]\nterm=1\ndevice=a\nn=1\npeer-port-before=65535\n", .message = "pair.conf:10: \"peer-port-before\" is a number from 1 to 65534, not \"65535\"" },
	{ "revision-device", .pair = P G "[revision]\nterm=1\ndevice=a/b\nn=1\n", .message = "pair.conf:8: \"device\" is letters, *, not \"a/b\"" },

	/* IPv6 */
	{ "ipv6-in-address", D6 "address=2001:db8::1/64\n", .message = "device.conf:5: \"2001:db8::1\" is an IPv6 address, not an IPv4 one" },
	{ "ipv4-in-address6", D6 "address6=192.0.2.1/24\n", .message = "device.conf:5: \"192.0.2.1\" is an IPv4 address, not an IPv6 one" },
	{ "address6-empty", D6 "address=192.0.2.1/24\naddress6=\n", .message = "device.conf:6: \"address6\" has no value" },
	{ "address6-no-prefix", D6 "address6=2001:db8::1\n", .message = "device.conf:5: \"2001:db8::1\" is no IPv6 address with its prefix length, such as 2001:db8::10/64" },
	{ "address6-prefix-129", D6 "address6=2001:db8::1/129\n", .message = "device.conf:5: \"2001:db8::1/129\" is no *" },
	{ "address6-prefix-0", D6 "address6=2001:db8::1/0\n", .message = "device.conf:5: \"2001:db8::1/0\" is no *" },
	{ "address6-word", D6 "address6=2001:db8::x/64\n", .message = "device.conf:5: \"2001:db8::x\" is no IPv6 address" },
	{ "address6-anycast", D6 "address6=2001:db8::/64\n", .message = "device.conf:5: 2001:db8:: is the anycast address of its network's routers, no device's" },
	{ "address6-multicast", D6 "address6=ff02::1/64\n", .message = "device.conf:5: ff02::1 is no address of a device" },
	{ "address6-none", D6 "address6=::/64\n", .message = "device.conf:5: :: is no address of a device" },
	{ "address6-loopback", D6 "address6=::1/128\n", .message = "device.conf:5: ::1 is no address of a device" },
	{ "address6-mapped", D6 "address6=::ffff:192.0.2.1/96\n", .message = "device.conf:5: ::ffff:192.0.2.1 is no address of a device" },
	{ "address6-link-local", D6 "address6=fe80::1/64\n", .message = "device.conf:5: fe80::1 is link-local; that one is found without being written here" },
	{ "address6-zone", D6 "address6=fe80::1%eth0/64\n", .message = "device.conf:5: \"fe80::1%eth0\": addresses are written without a zone (\"%eth0\")" },
	{ "address6-twice", D6 "address6=2001:db8::1/64\n[interface wan]\ndevice=eth1\naddress6=2001:DB8::1/48\n",
	  .message = "device.conf:8: 2001:db8::1 is already the address of interface lan" },
	{ "peer6-link-local", D "[peer]\naddresses=fe80::1\n", .message = "device.conf:4: fe80::1 is link-local; the peer's are learned by themselves" },
	{ "peer6-zone", D "[peer]\naddresses=fe80::1%eth0\n", .message = "device.conf:4: \"fe80::1%eth0\": addresses are written without a zone (\"%eth0\")" },
	{ "peer6-twice", D "[peer]\naddresses=2001:db8::2 2001:DB8:0::2\n", .message = "device.conf:4: 2001:db8::2 is there twice" },
	{ "peer6-self", "[device]\nid=a\n[peer]\naddresses=2001:db8::1\n[interface lan]\ndevice=eth0\naddress6=2001:db8:0::1/64\n",
	  .message = "device.conf:4: 2001:db8::1 is this device's own address on interface lan, not the peer's" },
	{ "service6-twice", .pair = P "[group g]\ninterface=lan\naddresses=2001:db8::10/64,2001:DB8:0::10/48\n",
	  .message = "pair.conf:5: 2001:db8::10 is already an address of group g" },
	{ "service6-own", DEVICE6, P "[group g]\ninterface=lan\naddresses=2001:db8::11/64\n",
	  .message = "pair.conf:5: 2001:db8::11 is this device's own address on interface lan; *" },
	{ "service6-peer", DEVICE6, P "[group g]\ninterface=lan\naddresses=2001:DB8::12/64\n",
	  .message = "pair.conf:5: 2001:db8::12 is the peer's own address; *" },
	{ "service6-anycast", .pair = P "[group g]\ninterface=lan\naddresses=2001:db8::/64\n", .message = "pair.conf:5: 2001:db8:: is the anycast *" },
	{ "service6-local-prefix", .pair = P "[group g]\ninterface=lan\naddresses=2001:db8::10/64,fe80::10/24\n",
	  .message = "pair.conf:5: fe80::10 is link-local: its prefix length is 64, not 24" },
	{ "service6-zone", .pair = P "[group g]\ninterface=lan\naddresses=fe80::10%eth0/64\n", .message = "pair.conf:5: \"fe80::10%eth0\": addresses are *" },
	{ "service6-local-twice", .pair = P G46 "elects=true\n[group h]\ninterface=lan\naddresses=fe80::1/64\n[group i]\ninterface=lan\naddresses=fe80::1/64\n",
	  .message = "pair.conf:12: fe80::1 is already an address of group h" },
	{ "route-mixed", .pair = P G "routes=2001:db8:5::/48 via 192.0.2.1\n", .message = "pair.conf:6: 2001:db8:5::/48 is IPv6, and its gateway 192.0.2.1 is IPv4" },
	{ "route-mixed-6", .pair = P G "routes=198.51.100.0/24 via fe80::1\n", .message = "pair.conf:6: 198.51.100.0/24 is IPv4, and its gateway fe80::1 is IPv6" },
	{ "route6-network", .pair = P G "routes=2001:db8:5::1/48 via fe80::1\n", .message = "pair.conf:6: 2001:db8:5::1/48 is no network: bits are set beyond its prefix" },
	{ "route6-multicast", .pair = P G "routes=ff00::/8 via fe80::1\n", .message = "pair.conf:6: ff00::/8 is no network of devices" },
	{ "route6-all", .pair = P G "routes=::/0 via fe80::1\n", .message = "pair.conf:6: \"::/0\" is no IPv6 address with its prefix length, *" },
	{ "route6-zone", .pair = P G "routes=default via fe80::1%eth0\n", .message = "pair.conf:6: \"fe80::1%eth0\": addresses are *" },
	{ "route6-twice", .pair = P G "routes=default via fe80::1; default via fe80:0::1\n", .message = "pair.conf:6: route \"default via fe80::1\" is already in group g" },
	{ "family-bad", .pair = P "family=6\n" G, .message = "pair.conf:3: \"family\" is one of ipv4, ipv6, not \"6\"" },
	{ "family-without", .pair = P "family=ipv6\n" G, .message = "pair.conf:3: \"family=ipv6\", but group g, which elects, has no IPv6 address" },
	{ "family-without-4", .pair = P "family=ipv4\n" G6, .message = "pair.conf:3: \"family=ipv4\", but group g, which elects, has no IPv4 address" },
	{ "family-version-2", .pair = P "vrrp-version=2\nfamily=ipv6\n" G46, .message = "pair.conf:4: VRRP version 2 is for IPv4 only: *" },
	{ "version-2-ipv6-alone", .pair = P "vrrp-version=2\n" G6, .message = "pair.conf:3: VRRP version 2 is for IPv4 only: *" },
	{ "checksum-bad", .pair = P "checksum=none\n" G, .message = "pair.conf:3: \"checksum\" is one of auto, rfc, pseudo-header, not \"none\"" },
	{ "checksum-version-2", .pair = P "checksum=rfc\nvrrp-version=2\n" G, .message = "pair.conf:3: VRRP version 2 has one checksum only; *" },
	{ "adverts-elector", .pair = P G "adverts=false\n", .message = "pair.conf:6: group g elects, and that is done by adverts" },
	{ "adverts-no-address", .pair = P G "elects=true\n[group h]\ninterface=wan\nadverts=true\nroutes=default via 203.0.113.1\n",
	  .message = "pair.conf:9: group h has no address that VRRP version 3 can advertise" },
	{ "adverts-version-2", .pair = P "vrrp-version=2\n" G "elects=true\n[group h]\ninterface=wan\nadverts=true\naddresses=2001:db8:1::10/64\n",
	  .message = "pair.conf:10: group h has no address that VRRP version 2 can advertise" },
	{ "adverts-same-interface", .pair = P G "elects=true\n[group h]\ninterface=lan\nadverts=1\naddresses=192.0.2.20/24\n",
	  .message = "pair.conf:9: group g advertises IPv4 addresses on interface lan already; one router id is there once" },
	{ "adverts-no-own", DEVICE6, P G "elects=true\n[group h]\ninterface=six\nadverts=true\naddresses=198.51.100.10/24\n",
	  .message = "pair.conf:8: group h advertises its IPv4 addresses, but device.conf gives this device no IPv4 address on interface six" },
	{ "elects-no-own", DEVICE6, P "[group g]\ninterface=six\naddresses=198.51.100.10/24\n",
	  .message = "pair.conf:4: group g advertises its IPv4 addresses, but device.conf gives this device no IPv4 address on interface six" },
	{ "witness-bad", .pair = P "witness=router\n" G, .message = "pair.conf:3: \"router\" is no IPv4 or IPv6 address" },
	{ "witness-zone", .pair = P "witness=fe80::1%eth0\n" G, .message = "pair.conf:3: \"fe80::1%eth0\": addresses are *" },
	{ "witness-twice", .pair = P "witness=fe80::1,FE80:0::1\n" G, .message = "pair.conf:3: fe80::1 is there twice" },
	{ "witness-service", .pair = P "witness=192.0.2.10\n" G, .message = "pair.conf:3: 192.0.2.10 is an address of the pair; a witness is somebody else" },
	{ "witness-own", .pair = P "witness=192.0.2.11\n" G, .message = "pair.conf:3: 192.0.2.11 is an address of the pair; *" },
	{ "witness-peer", .pair = P "witness=192.0.2.12\n" G, .message = "pair.conf:3: 192.0.2.12 is an address of the pair; *" },
	{ "witness-elsewhere", .pair = P "witness=198.51.100.1\n" G,
	  .message = "pair.conf:3: 198.51.100.1 is in no network of interface lan, where the witness is asked" },
	{ "witness-elsewhere-6", .pair = P "witness=2001:db8:9::1\n" G46, .message = "pair.conf:3: 2001:db8:9::1 is in no network of interface lan, *" },
	{ "witness-many", .pair = P "witness=fe80::1 fe80::2 fe80::3 fe80::4 fe80::5 fe80::6 fe80::7 fe80::8 fe80::9\n" G,
	  .message = "pair.conf:3: there are at most 8 witnesses" },

	/* applications.d/kamailio.conf */
	{ "application-missing", .application = "[data x]\npath=/srv/x\n", .message = "applications.d/kamailio.conf:1: section [application] is missing" },
	{ "command-missing", .application = "[application]\n", .message = "applications.d/kamailio.conf:1: section [application] needs the key \"command\" or \"unit\"" },
	{ "command-relative", .application = "[application]\ncommand=kamailio -DD\n",
	  .message = "applications.d/kamailio.conf:2: \"command\" begins with the absolute path of a program, not \"kamailio\"" },
	{ "command-quote", .application = "[application]\ncommand=/b 'x\n", .message = "applications.d/kamailio.conf:2: \"command\" cannot be split into words: *" },
	{ "command-twice", .application = A "command=/c\n", .message = "applications.d/kamailio.conf:3: duplicate key \"command\"; the first is on line 2" },
	{ "application-unknown-key", .application = A "nicer=3\n", .message = "applications.d/kamailio.conf:3: unknown key \"nicer\" in section [application]" },
	{ "environment-word", .application = A "environment=A=1 B\n", .message = "applications.d/kamailio.conf:3: \"environment\" is a list of NAME=value, not \"B\"" },
	{ "environment-name", .application = A "environment=1A=1\n", .message = "applications.d/kamailio.conf:3: \"environment\" is a list *, not \"1A=1\"" },
	{ "user-bad", .application = A "user=a:b\n", .message = "applications.d/kamailio.conf:3: \"user\" is letters, *, not \"a:b\"" },
	{ "group-bad", .application = A "group=\n", .message = "applications.d/kamailio.conf:3: \"group\" is letters, *, not \"\"" },
	{ "directory-relative", .application = A "working-directory=x\n", .message = "applications.d/kamailio.conf:3: \"working-directory\" is an absolute path, not \"x\"" },
	{ "ready-bad", .application = A "ready=soon\n", .message = "applications.d/kamailio.conf:3: \"ready\" is one of started, notify, command, port, sip-options, not \"soon\"" },
	{ "ready-no-command", .application = A "ready=command\n", .message = "applications.d/kamailio.conf:3: \"ready=command\" needs the key \"ready-command\"" },
	{ "ready-command-idle", .application = A "ready-command=/c\n", .message = "applications.d/kamailio.conf:3: \"ready-command\" is for \"ready=command\" only" },
	{ "ready-command-relative", .application = A "ready=command\nready-command=check\n",
	  .message = "applications.d/kamailio.conf:4: \"ready-command\" begins with the absolute path of a program, not \"check\"" },
	{ "unit-and-command", .application = A "unit=k.service\n", .message = "applications.d/kamailio.conf:3: there is a \"command\" already, on line 2: it is one or the other" },
	{ "unit-bad", .application = "[application]\nunit=k.socket\n", .message = "applications.d/kamailio.conf:2: \"unit\" is the name of a service of systemd, such as kamailio.service, not \"k.socket\"" },
	{ "unit-path", .application = "[application]\nunit=../k.service\n", .message = "applications.d/kamailio.conf:2: \"unit\" is the name of a service *" },
	{ "unit-template", .application = "[application]\nunit=k@.service\n", .message = "applications.d/kamailio.conf:2: \"unit\" is the name of a service *" },
	{ "unit-ourselves", .application = "[application]\nunit=understudy.service\n", .message = "applications.d/kamailio.conf:2: \"unit\" is the name of a service *" },
	{ "unit-user", .application = "[application]\nunit=k.service\nuser=k\n", .message = "applications.d/kamailio.conf:3: \"user\" is for a command; a unit has its own" },
	{ "unit-nofile", .application = "[application]\nunit=k.service\nnofile=5\n", .message = "applications.d/kamailio.conf:3: \"nofile\" is for a command; a unit has its own" },
	{ "unit-watchdog", .application = "[application]\nunit=k.service\nwatchdog-ms=500\n", .message = "applications.d/kamailio.conf:3: \"watchdog-ms\" is for a command; a unit has WatchdogSec=" },
	{ "program-relative", .application = A "program=k\n", .message = "applications.d/kamailio.conf:3: \"program\" is an absolute path, not \"k\"" },
	{ "ready-no-address", .application = A "ready=port\n", .message = "applications.d/kamailio.conf:3: \"ready=port\" needs the key \"ready-address\"" },
	{ "ready-address-idle", .application = A "ready-address=5060\n", .message = "applications.d/kamailio.conf:3: \"ready-address\" is for \"ready=port\" and \"ready=sip-options\" only" },
	{ "ready-address-name", .application = A "ready=port\nready-address=host:5060\n", .message = "applications.d/kamailio.conf:4: \"ready-address\" is a port, or an address and a port, *" },
	{ "ready-address-port", .application = A "ready=port\nready-address=udp 0\n", .message = "applications.d/kamailio.conf:4: \"ready-address\" is a port, *" },
	{ "ready-address-v6", .application = A "ready=port\nready-address=::1:5060\n", .message = "applications.d/kamailio.conf:4: \"ready-address\" is a port, *" },
	{ "early-word", .application = A "early-traffic=wait\n", .message = "applications.d/kamailio.conf:3: \"early-traffic\" is one of drop, queue, not \"wait\"" },
	{ "early-no-port", .application = A "early-traffic=queue\n", .message = "applications.d/kamailio.conf:3: \"early-traffic=queue\" needs a \"ready-address\" with a port of UDP" },
	{ "early-tcp", .application = A "ready=port\nready-address=tcp 5060\nearly-traffic=queue\n", .message = "applications.d/kamailio.conf:5: \"early-traffic=queue\" needs *" },
	{ "health-bad", .application = A "health=good\n", .message = "applications.d/kamailio.conf:3: \"health\" is one of none, command, port, sip-options, watchdog, not \"good\"" },
	{ "health-no-watchdog", .application = A "health=watchdog\n", .message = "applications.d/kamailio.conf:3: \"health=watchdog\" needs the key \"watchdog-ms\"" },
	{ "health-idle", .application = A "health-tolerance=3\n", .message = "applications.d/kamailio.conf:3: \"health-tolerance\" is for *" },
	{ "health-interval", .application = A "health=port\nhealth-address=1\nhealth-interval-ms=99\n", .message = "applications.d/kamailio.conf:5: \"health-interval-ms\" is a number from 100 to 3600000, *" },
	{ "critical-bad", .application = A "critical=maybe\n", .message = "applications.d/kamailio.conf:3: \"critical\" is true or false, not \"maybe\"" },
	{ "config-trial", .application = A "config-trial-s=86401\n", .message = "applications.d/kamailio.conf:3: \"config-trial-s\" is a number from 0 to 86400, *" },
	{ "capability-unknown", .application = A "capabilities=CAP_NET_BIND_SERVICE CAP_FLY\n", .message = "applications.d/kamailio.conf:3: \"capabilities\" is a list such as *; there is no \"CAP_FLY\"" },
	{ "capability-beyond", .application = A "capabilities=CAP_CHOWN\ncapability-bounds=CAP_KILL\n", .message = "applications.d/kamailio.conf:4: \"capability-bounds\" lacks cap_chown, which \"capabilities\" has" },
	{ "nofile-unit", .application = A "nofile=1K\n", .message = "applications.d/kamailio.conf:3: \"nofile\" is a number or \"unlimited\", not \"1K\"" },
	{ "core-large", .application = A "core=9999999999G\n", .message = "applications.d/kamailio.conf:3: \"core\" is a number of bytes (K, M, G) or \"unlimited\", not \"9999999999G\"" },
	{ "nice-large", .application = A "nice=20\n", .message = "applications.d/kamailio.conf:3: \"nice\" is a number from -20 to 19, not \"20\"" },
	{ "ready-timeout", .application = A "ready-timeout-ms=0\n", .message = "applications.d/kamailio.conf:3: \"ready-timeout-ms\" is a number from 1 to 3600000, *" },
	{ "restart-bad", .application = A "restart=no\n", .message = "applications.d/kamailio.conf:3: \"restart\" is one of always, on-failure, never, not \"no\"" },
	{ "restart-delay", .application = A "restart-delay-ms=30001\n", .message = "applications.d/kamailio.conf:3: \"restart-delay-ms\" is a number from 1 to 30000, *" },
	{ "stop-signal", .application = A "stop-signal=15\n", .message = "applications.d/kamailio.conf:3: \"stop-signal\" is one of SIGHUP, *, not \"15\"" },
	{ "stop-timeout", .application = A "stop-timeout-ms=-1\n", .message = "applications.d/kamailio.conf:3: \"stop-timeout-ms\" is a number from 0 to 600000, *" },
	{ "needs-missing", .application = A "\nneeds=db\n", .message = "applications.d/kamailio.conf:4: needs \"db\", but there is no applications.d/db.conf" },
	{ "needs-self", .application = A "needs=kamailio\n", .message = "applications.d/kamailio.conf:3: \"needs\" form a circle: kamailio -> kamailio" },
	{ "data-no-path", .application = A "[data x]\n", .message = "applications.d/kamailio.conf:3: section [data x] needs the key \"path\"" },
	{ "data-relative", .application = A "[data x]\npath=etc/x\n", .message = "applications.d/kamailio.conf:4: \"path\" is an absolute path, not \"etc/x\"" },
	{ "data-dots", .application = A "[data x]\npath=/srv/../etc\n", .message = "applications.d/kamailio.conf:4: \"path\" is a path without \".\", \"..\" and \"//\", *" },
	{ "data-dot", .application = A "[data x]\npath=/srv/./x\n", .message = "applications.d/kamailio.conf:4: \"path\" is a path without *" },
	{ "data-slashes", .application = A "[data x]\npath=/srv//x\n", .message = "applications.d/kamailio.conf:4: \"path\" is a path without *" },
	{ "data-ref", .application = A "[data x]\npath=/srv/x\nref=sound\n", .message = "applications.d/kamailio.conf:5: \"ref\" is one of config, volatile, voice, not \"sound\"" },
	{ "data-voice-sqlite", .application = A "[data x]\npath=/srv/x.sqlite\nref=voice\nkind=sqlite\n", .message = "applications.d/kamailio.conf:5: \"ref=voice\" is for \"kind=files\" only" },
	{ "data-kind", .application = A "[data x]\npath=/srv/x\nkind=db\n", .message = "applications.d/kamailio.conf:5: \"kind\" is one of files, sqlite, not \"db\"" },
	{ "validate-relative", .application = A "validate-command=kamailio -c\n",
	  .message = "applications.d/kamailio.conf:3: \"validate-command\" begins with the absolute path of a program, not \"kamailio\"" },
	{ "validate-timeout", .application = A "validate-command=/bin/true\nvalidate-timeout-ms=0\n", .message = "applications.d/kamailio.conf:4: \"validate-timeout-ms\" is *" },
	{ "act-timeout-alone", .application = A "act-timeout-ms=10\n",
	  .message = "applications.d/kamailio.conf:3: \"act-timeout-ms\" needs the key \"act-command\"" },
	{ "hook-user-alone", .application = A "hook-user=nobody\n",
	  .message = "applications.d/kamailio.conf:3: \"hook-user\" needs the key \"validate-command\", \"act-command\", \"unite-command\" or \"migrate-command\"" },
	{ "firmware-twice", .device = D "firmware=1\nfirmware-file=/etc/version\n",
	  .message = "device.conf:4: there is a \"firmware\" already, on line 3: it is one or the other" },
	{ "unite-relative", .application = A "unite-command=unite\n",
	  .message = "applications.d/kamailio.conf:3: \"unite-command\" begins with the absolute path of a program, not \"unite\"" },
	{ "unite-timeout-alone", .application = A "unite-timeout-ms=1000\n",
	  .message = "applications.d/kamailio.conf:3: \"unite-timeout-ms\" needs the key \"unite-command\"" },
	{ "data-include-sqlite", .application = A "[data x]\npath=/srv/x\nkind=sqlite\ninclude=*\n", .message = "applications.d/kamailio.conf:6: \"include\" is for \"kind=files\" only" },
	{ "data-up-to-etc", .application = A "[data x]\npath=/srv/x/../../etc\n",
	  .message = "applications.d/kamailio.conf:4: \"path\" is a path without \".\", \"..\" and \"//\", not \"/srv/x/../../etc\"" },
	{ "disk-budget", .device = "[device]\nid=a\ndisk-budget-mb=-1\n",
	  .message = "device.conf:3: \"disk-budget-mb\" is a number from 0 to 1073741824, *" },
	{ "own-files-relative", .device = "[device]\nid=a\nown-files=/srv/a b\n",
	  .message = "device.conf:3: \"own-files\" is an absolute path, not \"b\"" },
	{ "own-files-dots", .device = "[device]\nid=a\nown-files=/srv/a/../b\n",
	  .message = "device.conf:3: \"own-files\" is a path without \".\", \"..\" and \"//\", not \"/srv/a/../b\"" },
	{ "own-files-a-set", .device = "[device]\nid=a\nown-files=/etc/x /srv/x\n", .application = A "[data x]\npath=/srv/x\n",
	  .message = "applications.d/kamailio.conf:4: /srv/x cannot be a data set: \"own-files\" of device.conf has /srv/x" },
	{ "own-files-above", .device = "[device]\nid=a\nown-files=/srv\n", .application = A "[data x]\npath=/srv/x\n",
	  .message = "applications.d/kamailio.conf:4: /srv/x cannot be a data set: \"own-files\" of device.conf has /srv" },
	{ "data-exclude-sqlite", .application = A "[data x]\npath=/srv/x\nkind=sqlite\nexclude=*\n", .message = "applications.d/kamailio.conf:6: \"exclude\" is for \"kind=files\" only" },
	{ "data-twice", .application = A "[data x]\npath=/srv/x\n[data x]\npath=/srv/y\n", .message = "applications.d/kamailio.conf:5: duplicate section [data x]; the first is on line 3" },
	{ "data-path-twice", .application = A "[data x]\npath=/srv/x\n[data y]\npath=/srv/x/\n",
	  .message = "applications.d/kamailio.conf:6: /srv/x is already data set x in applications.d/kamailio.conf:4" },
	{ "data-inside", .application = A "[data x]\npath=/srv/x\n[data y]\npath=/srv/x/y/z\n",
	  .message = "applications.d/kamailio.conf:6: /srv/x/y/z lies in data set x (applications.d/kamailio.conf:4); exclude it there" },
	{ "data-around", .application = A "[data y]\npath=/srv/x/y\n[data x]\npath=/srv/x\nexclude=z\n",
	  .message = "applications.d/kamailio.conf:6: /srv/x holds data set y (applications.d/kamailio.conf:4); exclude it here" },
};

static void test_bad(gconstpointer data)
{
	const Bad *b = data;
	g_autoptr(GError) error = NULL;
	g_autoptr(Settings) s = parse_one(b->device ?: DEVICE, b->pair ?: b->device ? b->pair : PAIR, b->application, &error);
	g_assert_null(s);
	g_assert_error(error, SETTINGS_ERROR, SETTINGS_ERROR_BAD);
	if (!g_pattern_match_simple(b->message, error->message))
		g_error("said    %s\nwant    %s", error->message, b->message);
}

static void test_bad_needs_circle(void)
{
	const char *names[] = { "a", "b", "c", NULL };
	const char *texts[] = { A, A "needs=c\n", A "user=x\nneeds=a b\n", NULL };
	g_autoptr(GError) error = NULL;
	g_autoptr(Settings) s = settings_parse(DEVICE, NULL, names, texts, &error);
	g_assert_null(s);
	g_assert_cmpstr(error->message, ==, "applications.d/c.conf:4: \"needs\" form a circle: b -> c -> b");
}

static void test_bad_data_between_files(void)
{
	const char *names[] = { "a", "b", NULL };
	const char *texts[] = { A "[data x]\npath=/srv/x\n", A "[data x]\npath=/srv/y\n", NULL };
	g_autoptr(GError) error = NULL;
	g_autoptr(Settings) s = settings_parse(DEVICE, NULL, names, texts, &error);
	g_assert_null(s);
	g_assert_cmpstr(error->message, ==, "applications.d/b.conf:4: data set x is already in applications.d/a.conf:4");

	g_clear_error(&error);
	texts[1] = A "[data y]\npath=/srv/x/db.sqlite\nkind=sqlite\n";
	g_autoptr(Settings) t = settings_parse(DEVICE, NULL, names, texts, &error);
	g_assert_null(t);
	g_assert_cmpstr(error->message, ==,
			"applications.d/b.conf:4: /srv/x/db.sqlite lies in data set x (applications.d/a.conf:4); exclude it there");

	g_clear_error(&error);
	static const struct {
		const char *exclude, *inner;
		bool right;
	} cases[] = {
		{ "db.sqlite*", "path=/srv/x/db.sqlite\nkind=sqlite", true },
		{ "/db.sqlite*", "path=/srv/x/db.sqlite\nkind=sqlite", true },
		{ "db.sqlite", "path=/srv/x/db.sqlite\nkind=sqlite", false }, /* its journals would travel alone */
		{ "*.sqlite *.sqlite-*", "path=/srv/x/deep/er/db.sqlite\nkind=sqlite", true },
		{ "deep", "path=/srv/x/deep/er/db.sqlite\nkind=sqlite", true },
		{ "er", "path=/srv/x/deep/er/db.sqlite\nkind=sqlite", true },
		{ "/er", "path=/srv/x/deep/er", false },
		{ "deep/er", "path=/srv/x/deep/er", true },
		{ "deep/*", "path=/srv/x/deep/er/y", true },
		{ "d/*", "path=/srv/x/deep/er/y", false },
	};
	for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_clear_error(&error);
		g_autofree char *outer = g_strdup_printf(A "[data x]\npath=/srv/x\nexclude=%s\n", cases[i].exclude);
		g_autofree char *inner = g_strdup_printf(A "[data y]\n%s\n", cases[i].inner);
		texts[0] = outer;
		texts[1] = inner;
		g_autoptr(Settings) u = settings_parse(DEVICE, NULL, names, texts, &error);
		g_assert_cmpint(u != NULL, ==, cases[i].right);
	}
}

static void test_data_paths(void)
{
	static const char *const no[] = { "/", "/etc", "/etc/understudy", "/etc/understudy/x", "/var", "/var/lib", "/var/lib/understudy",
					  "/var/lib/understudy/sync", "/run", "/run/x", "/proc", "/sys/x", "/dev", "/etc/systemd/system", "/etc/cron.d",
					  "/etc/crontab", "/etc/sudoers", "/etc/sudoers.d/x", "/usr", "/usr/local/x", "/boot", "/root", "/root/.ssh",
					  "/root/.bashrc", "/home", "/home/bob", "/home/bob/.ssh/authorized_keys", "/etc/passwd", "/etc/shadow-",
					  "/etc/default", "/etc/default/asterisk", "/etc/logrotate.d/x", "/etc/hosts", "/etc/resolv.conf", "/etc/ppp/ip-up.d",
					  "/etc/systemd", "/usr/lib/systemd/system", "/lib/systemd", "/etc/understudy/applications.d/x.conf",
					  "/etc/understudy/hooks.d", "/etc/cron.daily", "/etc/gshadow", "/etc/group", "/etc/pam.conf", "/root/.ssh/authorized_keys",
					  "/etc/profile.d", "/etc/environment", "/var/spool/cron", "/var/spool/anacron/x", "/var/spool/at", "/var/run/x",
					  "/etc/ssh/sshd_config", "/lib64/x", "/etc/ld.so.preload", "/etc/pam.d/su", "/var/spool", "/var/spool/cron/x" };
	static const char *const yes[] = { "/etc/kamailio", "/etc/asterisk", "/var/lib/kamailio", "/var/spool/asterisk/voicemail", "/srv",
					   "/srv/pbx", "/opt/pbx", "/tmp/x", "/root/pbx", "/home/bob/pbx", "/etc/understudyx", "/runner",
					   "/etc/ssl/sip", "/etc/freeswitch", "/var/lib/asterisk", "/var/spool/pbx", "/etc/kamailio/.hidden" };
	for (guint i = 0; i < G_N_ELEMENTS(no); i++) {
		g_autofree char *text = g_strdup_printf(A "[data x]\npath=%s\n", no[i]);
		g_autoptr(GError) error = NULL;
		g_autoptr(Settings) s = parse_one(DEVICE, NULL, text, &error);
		if (s)
			g_error("%s was taken", no[i]);
		g_autofree char *want = g_strdup_printf("applications.d/kamailio.conf:4: %s cannot be a data set: it *", no[i]);
		g_assert_true(g_pattern_match_simple(want, error->message));
	}
	for (guint i = 0; i < G_N_ELEMENTS(yes); i++) {
		g_autofree char *text = g_strdup_printf(A "[data x]\npath=%s\n", yes[i]);
		g_autoptr(GError) error = NULL;
		g_autoptr(Settings) s = parse_one(DEVICE, NULL, text, &error);
		g_assert_no_error(error);
	}
}

static void test_bad_application_name(void)
{
	const char *names[] = { "a b", NULL }, *texts[] = { A, NULL };
	g_autoptr(GError) error = NULL;
	g_autoptr(Settings) s = settings_parse(DEVICE, NULL, names, texts, &error);
	g_assert_null(s);
	g_assert_true(g_str_has_prefix(error->message, "applications.d/a b.conf:1: \"a b\" is no name of an application"));
}

static void test_bad_too_many_addresses(void)
{
	g_autoptr(GString) text = g_string_new(P "[group g]\ninterface=lan\naddresses=");
	for (guint i = 0; i < 65; i++)
		g_string_append_printf(text, "10.1.1.%u/24 ", i + 1);
	g_autoptr(GError) error = NULL;
	g_autoptr(Settings) s = parse_one(DEVICE, text->str, NULL, &error);
	g_assert_null(s);
	g_assert_cmpstr(error->message, ==, "pair.conf:5: a group has at most 64 IPv4 addresses, not 65");
}

static void test_bad_too_many_ipv6(void)
{
	for (guint named = 0; named < 2; named++)
		for (guint n = 63; n < 66; n++) {
			g_autoptr(GString) text = g_string_new(P "[group g]\ninterface=lan\naddresses=192.0.2.10/24 ");
			if (named)
				g_string_append(text, "fe80::10/64 ");
			for (guint i = named; i < n; i++)
				g_string_append_printf(text, "2001:db8::%x/64 ", i + 0x100);
			g_autoptr(GError) error = NULL;
			g_autoptr(Settings) s = parse_one(DEVICE, text->str, NULL, &error);
			g_assert_cmpint(s != NULL, ==, n + !named <= 64);
			if (!s)
				g_assert_true(g_pattern_match_simple("pair.conf:5: a group has at most 64 IPv6 addresses with its link-local one, *",
								     error->message));
		}
}

static void test_too_long(void)
{
	g_autofree char *text = g_strnfill(SCANNER_MAX_BYTES + 1, '\n');
	g_autoptr(GError) error = NULL;
	g_autoptr(Settings) s = parse_one(text, NULL, NULL, &error);
	g_assert_null(s);
	g_assert_cmpstr(error->message, ==, "device.conf:1: longer than 262144 bytes");
}

/* Every file cut off at every byte is taken or refused with a line, and never read past its end. */
static void test_truncated(void)
{
	static const char *const texts[] = { DEVICE6, PAIR "elects=true\nroutes=default via fe80::1\n[group six]\ninterface=wan\naddresses=2001:db8:1::10/64\n",
					     APPLICATION "environment=A='1 2'\n[data x]\npath=/srv/x\nexclude=a,b\n" };
	for (guint i = 0; i < G_N_ELEMENTS(texts); i++)
		for (gsize n = 0; n < strlen(texts[i]); n++) {
			g_autofree char *cut = g_strndup(texts[i], n);
			g_autoptr(GError) error = NULL;
			g_autoptr(Settings) s = parse_one(i == 0 ? cut : DEVICE, i == 1 ? cut : PAIR, i == 2 ? cut : NULL, &error);
			g_assert_true((s != NULL) != (error != NULL));
			if (error)
				g_assert_true(g_regex_match_simple("^[a-z./]+:[0-9]+: ", error->message, 0, 0));
		}
}

/* The same for files in which some bytes are others: whatever an editor or a disk does, it is an error with a line, never more. */
static void test_mutated(void)
{
	static const char *const texts[] = { DEVICE6, PAIR "elects=true\nroutes=default via fe80::1\n[group six]\ninterface=wan\naddresses=2001:db8:1::10/64\n",
					     APPLICATION "environment=A='1 2'\n[data x]\npath=/srv/x\nexclude=a,b\n" };
	static const char alphabet[] = "[]=#\n /.,;'\"\\0129azA-_\t\r\xc3\xff";
	for (guint i = 0; i < 20000; i++) {
		guint which = i % G_N_ELEMENTS(texts);
		g_autofree char *text = g_strdup(texts[which]);
		for (gint32 n = g_test_rand_int_range(1, 5); n > 0; n--)
			text[g_test_rand_int_range(0, (gint32)strlen(texts[which]))] =
				alphabet[g_test_rand_int_range(0, (gint32)sizeof(alphabet) - 1)];
		g_autoptr(GError) error = NULL;
		g_autoptr(Settings) s = parse_one(which == 0 ? text : DEVICE, which == 1 ? text : PAIR, which == 2 ? text : NULL, &error);
		if ((s != NULL) == (error != NULL) || (error && !g_regex_match_simple("^[a-z./]+:[0-9]+: ", error->message, 0, 0)))
			g_error("%s\n----\n%s", error ? error->message : "no error", text);
		g_autofree char *revised = settings_with_revision(text, 1, "a", 1, 0);
		g_assert_nonnull(revised);
	}
}

int main(int argc, char **argv)
{
	setlocale(LC_ALL, "");
	g_test_init(&argc, &argv, NULL);
	for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_autofree char *path = g_strconcat("/settings/bad/", bad[i].name, NULL);
		g_test_add_data_func(path, &bad[i], test_bad);
	}
	g_test_add_func("/settings/bad/needs-circle", test_bad_needs_circle);
	g_test_add_func("/settings/bad/data-between-files", test_bad_data_between_files);
	g_test_add_func("/settings/bad/application-name", test_bad_application_name);
	g_test_add_func("/settings/bad/too-many-addresses", test_bad_too_many_addresses);
	g_test_add_func("/settings/bad/too-many-ipv6", test_bad_too_many_ipv6);
	g_test_add_func("/settings/bad/too-long", test_too_long);
	g_test_add_func("/settings/data-paths", test_data_paths);
	g_test_add_func("/settings/truncated", test_truncated);
	g_test_add_func("/settings/mutated", test_mutated);
	return g_test_run();
}
