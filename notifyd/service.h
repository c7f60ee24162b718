/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* notifyd/service.h - the event store as org.understudy.Notify1. */
#pragma once

#include "dbus/bus-object.h"
#include "engine.h"

#define NOTIFY_BUS_NAME  "org.understudy.Notify1"
#define NOTIFY_INTERFACE "org.understudy.Notify1"
#define NOTIFY_PATH      "/org/understudy/Notify1"

typedef struct NotifyService NotifyService;

/* Publishes the store of @writer, and @engine, at NOTIFY_PATH of @tree. All three must outlive the service. */
NotifyService *notify_service_new(BusTree *tree, NotifyWriter *writer, NotifyEngine *engine, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void notify_service_free(NotifyService *service); /* NULL is fine */

G_DEFINE_AUTOPTR_CLEANUP_FUNC(NotifyService, notify_service_free)
