/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * settings/settings.h - device.conf, pair.conf and applications.d/ as plain structures.
 *
 * GKeyFile syntax read by our own scanner, because an administrator must be told file, line and reason for every unknown or duplicate
 * key; GKeyFile forgets lines and takes duplicates in silence. Pure but for settings_load(): text in, structure or error out.
 * A settings object is immutable and shared by reference; a reload makes a new one.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "settings/ip.h"

#define SETTINGS_DIR "/etc/understudy"
#define SETTINGS_AGENTX "unix:/var/agentx/master" /* snmpd's own default */

#define SETTINGS_ERROR settings_error_quark()
GQuark settings_error_quark(void);
typedef enum {
	SETTINGS_ERROR_BAD,     /* the text says "<file>:<line>: <reason>" */
	SETTINGS_ERROR_MISSING, /* a file that must be there is not: "<file>: missing; ..." */
} SettingsError;

#define SETTINGS_MAX_ADDRESSES 64 /* of one group and family, IPv6 with its link-local one; an advert lists them all */
#define SETTINGS_MAX_WITNESSES 8

/* "192.0.2.10/24", "2001:db8::10/64" */
typedef struct {
	char *text;   /* normalised: "192.0.2.10/24"; NULL when there is none */
	char *host;   /* without the prefix: "192.0.2.10"; NULL when there is none */
	IpAddress ip;
	guint prefix; /* 1-32, 1-128 */
} SettingsAddress;

/* [interface NAME] of device.conf: a place in the network both devices call by the same name ("lan", "wan", "peer"). */
typedef struct {
	char *name;               /* "lan" */
	char *device;             /* "eth0" */
	SettingsAddress address;  /* this device's own fixed IPv4 address there, or none */
	SettingsAddress address6; /* its IPv6 address, never a link-local one, or none; one of the two is there */
} SettingsInterface;

/* [group NAME] of pair.conf: service addresses and routes that move together on one interface. */
typedef struct {
	char *name;
	char *interface;      /* name of an [interface] of device.conf */
	GPtrArray *addresses; /* of SettingsAddress*, both families, as written */
	GPtrArray *routes;    /* of char*, "default via 203.0.113.1" or "2001:db8:5::/48 via fe80::1" */
	bool elects;          /* exactly one group does; the others follow it */
	bool adverts;         /* its routers advertise; always for the electing one (false) */
} SettingsGroup;

/* How the IPv4 checksum of version 3 is computed: over the packet alone, or over a pseudo-header too. */
typedef enum { SETTINGS_CHECKSUM_AUTO, SETTINGS_CHECKSUM_RFC, SETTINGS_CHECKSUM_PSEUDO_HEADER } SettingsChecksum;

/* [data NAME] of an application file: what the pair keeps alike. */
typedef enum { SETTINGS_REF_CONFIG, SETTINGS_REF_VOLATILE, SETTINGS_REF_VOICE } SettingsRef;
typedef enum { SETTINGS_DATA_FILES, SETTINGS_DATA_SQLITE } SettingsDataKind;
typedef struct {
	char *name;
	char *path;           /* absolute: a folder, or for sqlite the database file */
	guint line;           /* of the file that declares it, where the path stands */
	SettingsRef ref;
	SettingsDataKind kind;
	char **include;       /* globs as in exclude; when there are any, files and links that match none stay out. Folders travel all the same */
	char **exclude;       /* globs: with a '/' of the path below ours, without of its last part; NULL-terminated, may be empty */
} SettingsData;

/* How one finds out whether an application can be used. */
typedef enum {
	SETTINGS_CHECK_NONE,
	SETTINGS_CHECK_COMMAND, /* exit 0 */
	SETTINGS_CHECK_PORT,    /* somebody is bound there */
	SETTINGS_CHECK_SIP,     /* OPTIONS is answered there */
} SettingsCheckKind;
typedef struct {
	SettingsCheckKind kind;
	char **command;  /* for COMMAND: argv */
	bool tcp;        /* for PORT and SIP, else UDP */
	char *host;      /* "192.0.2.10", "::1"; NULL: any for PORT, 127.0.0.1 for SIP */
	guint port;
} SettingsCheck;

typedef enum { SETTINGS_READY_STARTED, SETTINGS_READY_NOTIFY, SETTINGS_READY_CHECK } SettingsReady;
typedef enum { SETTINGS_RESTART_ALWAYS, SETTINGS_RESTART_ON_FAILURE, SETTINGS_RESTART_NEVER } SettingsRestart;

#define SETTINGS_LIMIT_UNSET (-1)      /* as the supervisor's own */
#define SETTINGS_LIMIT_UNLIMITED (-2)

/* What a command may do and use; a unit has its own. */
typedef struct {
	bool has_capabilities, has_bounds;
	int *capabilities;     /* CAP_..., what it starts with; root without this key keeps what root has */
	gsize n_capabilities;
	int *bounds;           /* the most it, or a program it executes, can ever get; without this key: capabilities */
	gsize n_bounds;
	gint64 nofile, nproc, core, memlock; /* bytes or numbers, or SETTINGS_LIMIT_... */
	gint64 memory_max;
	int nice;              /* -20 - 19 (0) */
	int oom_score_adj;     /* -1000 - 1000 (0) */
	int realtime;          /* 1 - 99: SCHED_RR (0: no) */
} SettingsRights;

/* Commands around a change of an application's data that comes with a commit: on what is staged, before it is on the files; after it is. Of a line that
 * lost against this device's: what it alone has comes into the files here. Of what is staged and was made by an older firmware: it becomes what this one reads. */
typedef enum { SETTINGS_HOOK_VALIDATE, SETTINGS_HOOK_ACT, SETTINGS_HOOK_UNITE, SETTINGS_HOOK_MIGRATE, SETTINGS_N_HOOKS } SettingsHookKind;
extern const char *const settings_hook_names[SETTINGS_N_HOOKS]; /* "validate", "act", "unite", "migrate" */
typedef struct {
	char **command;   /* NULL: none */
	guint timeout_ms; /* 10000, of unite and migrate 60000: then it is killed with all of its children */
} SettingsHook;

/* applications.d/NAME.conf */
typedef struct {
	char *name;            /* the file's name without .conf: letters, digits, '-', '_', '.' */
	char *description;
	char **command;        /* argv, NULL-terminated; command[0] is absolute; NULL: a unit */
	char *unit;            /* "kamailio.service": systemd starts it; NULL: a command */
	char *program;         /* by which an instance that is not ours is known; NULL: what the command or the unit starts */
	char **environment;    /* "NAME=value", NULL-terminated */
	char **needs;          /* names of applications that must be ready first */
	char *user, *group;    /* NULL: root */
	char *working_directory; /* NULL: "/" */
	SettingsReady ready;
	SettingsCheck ready_check; /* for READY_CHECK: tried every 20 ms at first, every second at last */
	guint ready_timeout_ms;  /* 30000 */
	bool queue_early;        /* false: what comes for ready_check's UDP port before it is ready waits in its socket, and is not dropped */
	SettingsRestart restart; /* always */
	guint restart_delay_ms;  /* 100: the first; doubles to 30 s */
	int stop_signal;         /* SIGTERM */
	guint stop_timeout_ms;   /* 10000: then cgroup.kill */
	SettingsCheck health;    /* while it runs; kind NONE: none */
	guint health_interval_ms;  /* 5000 */
	guint health_timeout_ms;   /* 2000: a check that takes longer has failed */
	guint health_tolerance;    /* 2: so many failed checks in a row are forgiven */
	guint watchdog_ms;       /* 0: none; else WATCHDOG=1 (sd_notify) must come this often */
	char **quiet_command;    /* exit 0: nobody is on the phone, 1: somebody is; NULL: none */
	char **count_command;    /* prints how many contacts are registered; NULL: none */
	SettingsHook hooks[SETTINGS_N_HOOKS];
	char *hook_user;         /* as whom these run; NULL: as the application */
	guint config_trial_s;    /* 300: failing so soon after a change of the configuration it has that change undone first; 0: never */
	bool critical;           /* true: its failure makes this device give up the service; false: is an event */
	SettingsRights rights;
	GPtrArray *data;         /* of SettingsData* */
} SettingsApplication;

/* [mail NAME], [sms NAME], [snmp NAME], [led NAME] of pair.conf: where something is told; "display" is always there. */
typedef enum {
	SETTINGS_TARGET_MAIL,
	SETTINGS_TARGET_SMS,
	SETTINGS_TARGET_SNMP,
	SETTINGS_TARGET_LED,
	SETTINGS_TARGET_DISPLAY,
	SETTINGS_N_TARGET_KINDS,
} SettingsTargetKind;
extern const char *const settings_target_kinds[SETTINGS_N_TARGET_KINDS + 1]; /* "mail", "sms", "snmp", "led", "display", NULL */
typedef struct {
	SettingsTargetKind kind;
	char *name;      /* "" for display */
	char *id;        /* as rules and people call it: "mail:boss", "display" */
	char **to;       /* mail addresses, telephone numbers, or of SNMP its host:port; NULL-terminated, empty for the other kinds */
	guint per_hour;  /* so many messages, then "n more suppressed"; 0: no limit (led, display) */
	char **keys;     /* all its settings in one order, defaults filled in: key, value, key, value ..., NULL; never a secret */
} SettingsTarget;

/* [rule NAME] of pair.conf: which events are told where. */
typedef struct {
	char *name;
	char **applications;  /* globs ('*', '?'), NULL-terminated; empty: every one */
	char **names;         /* the same, of the event's name */
	guint min_priority;   /* 1 */
	GPtrArray *targets;   /* of SettingsTarget*, borrowed from Settings, as written; each once */
	char **to;            /* mail addresses and telephone numbers that replace the targets'; empty: the targets' own */
	bool recovery;        /* false: that something is well again is told too */
	guint fold_s;         /* 60: equal events within this time are one message and "n more"; 0: each is told */
	guint flap_changes, flap_s; /* 6, 600: so many changes of one thing in this time are told as "flapping"; 0: never */
	bool fold_traps, flap_traps; /* false: the key is not written; then SNMP, behind which programs count, is told of each */
} SettingsRule;

#define SETTINGS_LED_TIMES 16 /* in one pattern of a LED */

typedef struct {
	/* device.conf [device] */
	char *id;               /* unique; names terms, lines and events */
	char *name;             /* for people; defaults to the host name */
	char *model;            /* "" when not given */
	char *firmware;         /* version of the software that the configuration is for; "" when not given */
	char *firmware_file;    /* its first line is that version instead; NULL: none */
	char **reboot_command;  /* NULL: logind is asked */
	guint disk_budget_mb;   /* what the copies may take of this device's disk; 0: no limit but the disk's */
	char **own_files;       /* absolute paths that never travel, in whatever data set they lie; NULL-terminated, may be empty */
	GPtrArray *interfaces;  /* of SettingsInterface* */
	char *agentx;           /* [snmp] agentx=: snmpd's socket, "unix:/path"; NULL: nothing is shown to it */
	char **peer_addresses;  /* [peer] addresses=, normalised: where the peer is reached, best first; empty: those learned at pairing */

	/* pair.conf [pair]; all defaults when there is no pair.conf */
	bool has_pair;          /* pair.conf exists */
	bool enabled;           /* "Enable Redundancy" (true) */
	guint group_id;         /* 1-255, no default */
	guint vrrp_version;     /* 2 or 3 (3) */
	guint advert_interval_ms; /* v3: 10-40950 in steps of 10 (100); v2: whole seconds */
	sa_family_t family;     /* AF_INET or AF_INET6: the one whose router elects (the electing group's IPv4, if it has such an address) */
	SettingsChecksum checksum; /* of version 3 over IPv4 (auto: both are heard, and answered in kind) */
	GArray *witnesses;      /* of IpAddress: hosts on the electing interface that are asked whether its link lives */
	guint priority;         /* 1-254 (100): used while unpaired; a pair's priorities come from evidence */
	bool virtual_mac;       /* true */
	bool multicast;         /* true; false: unicast to the peer's addresses only */
	guint peer_port;        /* 7443 */
	guint peer_timeout_ms;  /* 3000: no ping answered so long = peer DOWN */
	guint sync_interval_s;  /* 60 */
	guint recordings_aside_days; /* 30: recordings that were kept aside go after so long; 0: never */
	guint recovery_limit_s; /* 60: the Backup lacks something for so long = an event; 0: never */
	guint gui_port;         /* 7777 */
	guint cold_boot_wait_ms; /* 15000 */
	guint first_answer_ms;  /* 30000: longest time traffic is dropped while applications start */
	guint passive_reminder_min; /* 60: how often it is said that the Backup is passive; 0: never */
	guint drill_max_silence_ms; /* [drill] max-silence-ms= (5000): longer, and the drill has not passed */
	guint drill_max_age_days; /* [drill] max-age-days= (90): a drill older than that is a warning; 0: never */
	guint64 revision_term;  /* [revision] term=, device=, n=: written by the supervisor; 0, "", 0 when absent */
	char *revision_device;
	guint64 revision_n;
	guint port_before;      /* and peer-port-before=: the peer may still be at this one; 0: no */
	GPtrArray *groups;      /* of SettingsGroup* */
	GPtrArray *targets;     /* of SettingsTarget*, as written, display behind them; also without pair.conf */
	GPtrArray *rules;       /* of SettingsRule*, as written; without any, display tells of priority 2 and above */
	guint events_keep;      /* [events] keep= (10000): the oldest go when there are more */
	guint events_keep_days; /* [events] keep-days= (0): and what is older than that; 0: whatever its age */
	char *pair_text;        /* pair.conf as read */
	char *pair_hash;        /* SHA-256 in hex of its meaning: comments, blank lines and order of keys do not count */

	GPtrArray *applications; /* of SettingsApplication*, in an order that satisfies `needs` */
} Settings;

/* Reads @dir (normally SETTINGS_DIR). Whole or not at all. */
Settings *settings_load(const char *dir, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* The same, as it would be with @text as @file ("device.conf" or "pair.conf"). */
Settings *settings_load_with(const char *dir, const char *file, const char *text, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* The pure parts, for the supervisor's validation of what came from elsewhere, and for tests. @file names the text in errors. */
Settings *settings_parse(const char *device_text, const char *pair_text /* NULL: none */, const char *const *application_names,
			 const char *const *application_texts, GError **error) G_GNUC_WARN_UNUSED_RESULT;

Settings *settings_ref(Settings *settings);
void settings_unref(Settings *settings); /* NULL is fine */

const SettingsInterface *settings_interface(const Settings *settings, const char *name); /* NULL when there is none */
const SettingsGroup *settings_electing_group(const Settings *settings);                  /* NULL without pair.conf */
const SettingsAddress *settings_own_address(const SettingsInterface *interface, sa_family_t family); /* NULL when there is none */
bool settings_group_has_link_local(const SettingsGroup *group);             /* an IPv6 one among its addresses */
IpAddress settings_derived_link_local(const Settings *settings);            /* of groups with IPv6 addresses that name none */
guint settings_group_count(const SettingsGroup *group, sa_family_t family); /* its addresses of that family, as written */
const SettingsApplication *settings_application(const Settings *settings, const char *name);

/* By its id, "mail:boss"; NULL when there is none. */
const SettingsTarget *settings_target(const Settings *settings, const char *id);
/* The value of one of its keys, NULL when it has none. */
const char *settings_target_key(const SettingsTarget *target, const char *key);
/* Those of the NULL-terminated @list that a target of @kind can be sent to. Transfer full, NULL-terminated, may be empty. */
char **settings_recipients(SettingsTargetKind kind, const char *const *list);
/* "off", "on", "slow", "fast", "200 100 200 1500" as times in ms, light first: none for off, one for on. False and @ret_reason when it is no pattern. */
bool settings_led_pattern(const char *text, guint ret_ms[static SETTINGS_LED_TIMES], gsize *ret_n, char **ret_reason);

/* What is a device's own by its nature, whatever a data set says: names (globs) of files and folders that never travel. NULL-terminated. */
extern const char *const settings_never_travel[];
/* Why @path can be no data set: the system's, Understudy's own, or above one of these. NULL: it can. Static text. Pure. */
const char *settings_forbidden_data(const char *path);

/* By what the two devices of a pair find and understand each other, as text; the same on both, or they do not. Transfer full. */
char *settings_finding(const Settings *settings);
/* The keys of those by which @a and @b differ, NULL-terminated. Transfer full. */
char **settings_finding_differs(const Settings *a, const Settings *b);

/* @text of a file with [section] key=value set, or @value NULL: without the key; everything else as it was. The section must be there to
 * set a key. Transfer full, or NULL and @error. */
char *settings_with_key(const char *text, const char *section, const char *key, const char *value, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* @port_before: 0: none. @text of a pair.conf with its [revision] section replaced or appended; comments and everything else kept. Transfer full. */
char *settings_with_revision(const char *text, guint64 term, const char *device, guint64 n, guint port_before);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Settings, settings_unref)
