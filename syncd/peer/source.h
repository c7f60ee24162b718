/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * syncd/peer/source.h - from which of this device's addresses the peer is spoken to.
 *
 * On a Master the kernel would choose the service address, from which applications shall speak: it goes to the other device with the next swap,
 * and what was said over it with it. The device's own address stays.
 */
#pragma once

#include <gio/gio.h>

#include "settings/settings.h"

/* To be told of each new settings. From any thread. */
void sync_source_set(const Settings *settings);

/* For a connection to @host: from the own address in its network; where there is none, the kernel chooses. No proxy. Transfer full; any thread. */
GSocketClient *sync_source_client(const char *host);
