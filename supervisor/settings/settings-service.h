/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* supervisor/settings/settings-service.h - the methods of Supervisor1 that are about settings; rows of service.c's table. */
#pragma once

#include "dbus/bus-object.h"

void settings_service_get(BusCall *call, GVariant *args, gpointer supervisor);
void settings_service_set(BusCall *call, GVariant *args, gpointer supervisor);
void settings_service_reload(BusCall *call, GVariant *args, gpointer supervisor);
void settings_service_history(BusCall *call, GVariant *args, gpointer supervisor);
void settings_service_version(BusCall *call, GVariant *args, gpointer supervisor);
