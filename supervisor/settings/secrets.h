/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * supervisor/settings/secrets.h - passwords of targets, one file each: come in by a descriptor, are read by notifyd alone, and never come out.
 *
 * /etc/understudy/secrets.d/mail.boss, 0640 root:understudy-notify. What is read and written may take its time, so a thread does it.
 */
#pragma once

#include "dbus/bus-object.h"
#include "settings/settings.h"

#define SECRETS_DIR SETTINGS_DIR "/secrets.d"
#define SECRETS_GROUP "understudy-notify"
#define SECRET_MAX_BYTES 1024

/* "mail.boss", "sms.NAME", "snmp.NAME". */
bool secret_check_name(const char *name, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Up to the end of @fd, which may block for @timeout_ms in all. One line; of snmp two: authentication, privacy. Without the newline at its end; "":
 * nothing. To be wiped by the caller. */
char *secret_read(int fd, const char *name, int timeout_ms, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* By rename, on disk when this returns true; "": the file goes. @folder is made when absent. */
bool secret_store(const char *folder, const char *name, const char *text, gid_t group, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* SetSecret of Supervisor1. */
void secrets_service_set(BusCall *call, GVariant *args, gpointer supervisor);
