/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/unit/settings/test-settings.h - good texts, and one application among them parsed. */
#pragma once

#include "settings/settings.h"

#define DEVICE                                                                                                                 \
	"# This device.\n"                                                                                                     \
	"[device]\n"                                                                                                           \
	"id = pbx-a\n"                                                                                                         \
	"name = Cellar left\n"                                                                                                 \
	"model = Box 100\n"                                                                                                    \
	"\n"                                                                                                                   \
	"[interface lan]\n"                                                                                                    \
	"device = eth0\n"                                                                                                      \
	"address = 192.0.2.11/24\n"                                                                                            \
	"[interface wan]\n"                                                                                                    \
	"device = eth1\n"                                                                                                      \
	"address = 203.0.113.11/24\n"                                                                                          \
	"[peer]\n"                                                                                                             \
	"addresses = 10.0.0.2, 192.0.2.12\n"

#define DEVICE6                                                                                                                 \
	"[device]\nid = pbx-a\n"                                                                                              \
	"[interface lan]\ndevice = eth0\naddress = 192.0.2.11/24\naddress6 = 2001:0DB8:0::11/64\n"                             \
	"[interface wan]\ndevice = eth1\naddress = 203.0.113.11/24\n"                                                         \
	"[interface six]\ndevice = eth3\naddress6 = 2001:db8:6::11/64\n"                                                      \
	"[interface peer]\ndevice = eth2\naddress6 = fd00::1/127\n"                                                           \
	"[peer]\naddresses = fd00:0::0, 2001:db8:0::12, 192.0.2.12\n"

#define PAIR "[pair]\ngroup-id=51\n[group lan]\ninterface=lan\naddresses=192.0.2.10/24\n"

#define APPLICATION "[application]\ncommand=/usr/sbin/kamailio -DD\n"

static inline Settings *parse_one(const char *device, const char *pair, const char *application, GError **error)
{
	const char *names[] = { application ? "kamailio" : NULL, NULL }, *texts[] = { application, NULL };
	return settings_parse(device, pair, names, texts, error);
}
