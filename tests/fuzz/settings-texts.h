/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/fuzz/settings-texts.h - the settings that the one under test stands among. */
#pragma once

static const char device_text[] = "[device]\nid=pbx-left\nname=left\n[interface lan]\ndevice=eth0\naddress=192.0.2.11/24\naddress6=2001:db8::11/64\n"
				  "[interface wan]\ndevice=eth1\naddress=203.0.113.11/24\n[interface peer]\ndevice=eth2\n"
				  "address=10.0.0.1/30\n";
