/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ctl/commands.h - the commands; each gets its own name as argv[0] and answers the exit code. */
#pragma once

#include "client.h"

typedef CtlExit (*CtlCommand)(Ctl *ctl, int argc, char **argv);

CtlExit ctl_status(Ctl *ctl, int argc, char **argv); /* status.c */
CtlExit ctl_election(Ctl *ctl, int argc, char **argv);
CtlExit ctl_doctor(Ctl *ctl, int argc, char **argv); /* doctor.c */
CtlExit ctl_drill(Ctl *ctl, int argc, char **argv);  /* drill.c */
CtlExit ctl_swap(Ctl *ctl, int argc, char **argv);   /* role.c */
CtlExit ctl_mode(Ctl *ctl, int argc, char **argv);
CtlExit ctl_takeover(Ctl *ctl, int argc, char **argv);
CtlExit ctl_enable(Ctl *ctl, int argc, char **argv); /* settings.c */
CtlExit ctl_disable(Ctl *ctl, int argc, char **argv);
CtlExit ctl_restart(Ctl *ctl, int argc, char **argv);
CtlExit ctl_reboot(Ctl *ctl, int argc, char **argv);
CtlExit ctl_reset_health(Ctl *ctl, int argc, char **argv);
CtlExit ctl_events(Ctl *ctl, int argc, char **argv);  /* events.c */
CtlExit ctl_event(Ctl *ctl, int argc, char **argv);   /* event.c */
CtlExit ctl_notify(Ctl *ctl, int argc, char **argv);  /* notify.c */
CtlExit ctl_secret(Ctl *ctl, int argc, char **argv);  /* secret.c */
CtlExit ctl_history(Ctl *ctl, int argc, char **argv); /* past.c */
CtlExit ctl_diff(Ctl *ctl, int argc, char **argv); /* versions.c */
CtlExit ctl_show(Ctl *ctl, int argc, char **argv);
CtlExit ctl_restore(Ctl *ctl, int argc, char **argv);
CtlExit ctl_diverged(Ctl *ctl, int argc, char **argv);
CtlExit ctl_verify(Ctl *ctl, int argc, char **argv); /* verify.c */
CtlExit ctl_timeline(Ctl *ctl, int argc, char **argv);
CtlExit ctl_settings(Ctl *ctl, int argc, char **argv); /* settings.c */
CtlExit ctl_pair(Ctl *ctl, int argc, char **argv); /* pairing.c */
CtlExit ctl_join(Ctl *ctl, int argc, char **argv);
CtlExit ctl_unpair(Ctl *ctl, int argc, char **argv); /* upkeep.c */
CtlExit ctl_rotate_key(Ctl *ctl, int argc, char **argv);
CtlExit ctl_peer_address(Ctl *ctl, int argc, char **argv);
CtlExit ctl_git_access(Ctl *ctl, int argc, char **argv);
CtlExit ctl_export(Ctl *ctl, int argc, char **argv); /* transfer.c */
CtlExit ctl_import(Ctl *ctl, int argc, char **argv);
