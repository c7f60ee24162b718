/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ctl/job.h - long work of a daemon, followed with its progress on stderr. */
#pragma once

#include "client.h"

/* Waits for the job's last word; @ret_value gets State, Message, Error and Result as a{sv}, keys in snake_case. */
CtlExit job_wait(Ctl *ctl, CtlDaemon daemon, const char *path, int timeout_ms, GVariant **ret_value);
