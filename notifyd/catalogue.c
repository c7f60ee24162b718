/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* notifyd/catalogue.c - every event of our own, once. */
#include "catalogue.h"

#include <string.h>

#define R "REDUNDANCY"

static const CatalogueEvent events[] = {
	/* what the pair is */
	{ R, "role", { 1 }, NULL, false, "This device has another role; the text says which, and why" },
	{ R, "failover", { 3 }, NULL, false, "The Backup leads without an order: the Master was lost, or has given up" },
	{ R, "up active", { 1 }, "backup", true, "The Master has a Backup that takes over by itself" },
	{ R, "up passive", { 2 }, "backup", false, "The Backup is there, but takes over by order only" },
	{ R, "still passive", { 2 }, "backup passive", false, "Reminds that the Backup takes over by order only" },
	{ R, "down", { 3 }, "backup", false, "The Master does not reach its Backup: nobody would take over" },
	{ R, "mode", { 1 }, NULL, false, "The time for which a device was to be passive is over" },
	{ R, "resigned", { 3 }, NULL, false, "This device gives the service up, so that the other takes over" },
	{ R, "fresher-peer", { 3 }, NULL, false, "A device came back with newer data than the one that leads, whose data wins" },
	{ R, "term-not-stored", { 3 }, NULL, false, "The disk has not taken in which term this device leads" },
	{ R, "swap-failed", { 2 }, NULL, false, "An ordered change of roles was broken off; the text says where" },
	{ R, "drill", { 1, 3 }, "drill", false, "A drill has passed (1) or not (3)" },
	{ R, "reboot", { 2 }, NULL, false, "Somebody has this device reboot" },

	/* the network */
	{ R, "stranger", { 2 }, NULL, false, "Another VRRP router speaks in the group of the pair" },
	{ R, "address-clash", { 2 }, NULL, false, "Somebody else on the LAN has a service address" },
	{ R, "election-problem", { 2 }, NULL, false, "Something stands in the way of a takeover, on this device or in its network" },
	{ R, "drop-refused", { 2 }, "drop", false, "The kernel does not hold back calls while applications start: phones would be refused meanwhile" },

	/* applications and daemons */
	{ R, "application-failed", { 3 }, NULL, false, "An application has failed, with its last lines" },
	{ R, "application-trouble", { 3 }, NULL, false, "An application did not stop, ran where it may not, or runs without a limit" },
	{ R, "foreign-instance", { 2 }, NULL, false, "An application also runs without Understudy having started it" },
	{ R, "config-undone", { 3 }, NULL, false, "An application failed after a change of its configuration; the text says what was done about it" },
	{ R, "daemon-failed", { 3 }, NULL, false, "One of Understudy's own daemons does not stay up" },
	{ R, "real-time-refused", { 3 }, NULL, false, "The kernel refuses real time to the election: a loaded device may lose its role" },
	{ R, "disk", { 3 }, NULL, false, "What must survive a restart could not be written" },

	/* settings and pairing */
	{ R, "settings", { 2, 1, 3 }, NULL, false,
	  "The settings were changed on both (1), are wrong here or were changed on one device alone (2), or the other's cannot be used here (3)" },
	{ R, "settings-kept", { 2 }, NULL, false, "A version of the settings that is not used was kept; the text says how to restore it" },
	{ R, "join-failed", { 3 }, NULL, false, "A device that joined cannot use the settings of the pair" },
	{ R, "peer link", { 3 }, "peer link", false, "The port for the other device cannot be opened" },
	{ R, "peer key refused", { 3 }, NULL, false, "A device showed a key that is not the peer's" },
	{ R, "peer moved", { 2 }, NULL, false, "The peer has another address than device.conf says" },
	{ R, "key rotation failed", { 3 }, NULL, false, "This device's new key cannot be put to use" },
	{ R, "unpaired by the peer", { 3 }, NULL, false, "The other device has ended the pairing" },

	/* data */
	{ R, "backup behind", { 2 }, "lag", false, "The Backup lacks changes of the Master: a takeover now would lose them" },
	{ R, "backup caught up", { 3 }, "lag", true, "The Backup has applied everything that the Master has" },
	{ R, "commit held back", { 3 }, NULL, false, "The Backup has refused a change of the configuration, and keeps what it had" },
	{ R, "commit not applied", { 2 }, NULL, false, "The takeover came before the Master's last change was on the files; it is kept" },
	{ R, "recordings missing", { 2 }, NULL, false, "The takeover came before the Master's last recordings were here" },
	{ R, "divergence", { 3 }, NULL, false, "Both devices have led: the data of the one that follows is kept aside" },
	{ R, "recordings expired", { 1 }, NULL, false, "Recordings that were kept aside are removed, `recordings-aside-days` after that" },
	{ R, "local edit kept", { 2 }, NULL, false, "A change made on the Backup was replaced by the Master's data, and is kept aside" },
	{ R, "own data kept", { 1 }, NULL, false, "What a device had before it joined is kept aside" },
	{ R, "hook failed", { 2 }, NULL, false, "The command that is to follow a change of the configuration has failed" },
	{ R, "line not united", { 2 }, NULL, false, "What the other device recorded while the two were apart has not come into the files here" },
	{ R, "line united", { 1 }, NULL, false, "What the other device recorded while the two were apart has come into the files here" },
	{ R, "owner unknown", { 2 }, NULL, false, "Files belong to a user or group that this device does not have" },
	{ R, "data set missing", { 2 }, NULL, false, "The files of a data set are not there; what was committed is kept" },
	{ R, "data unreadable", { 2 }, NULL, false, "Files of a data set cannot be read; what was committed of them is kept" },
	{ R, "changes dropped", { 1 }, NULL, false, "More changed at once than the kernel keeps notices of: everything is looked at" },
	{ R, "too few watches", { 2 }, NULL, false, "The kernel gives no more watches: everything is looked at again and again" },
	{ R, "copy damaged", { 2 }, NULL, false, "The disk has lost some of what is stored; it comes back from the files and from the other device" },
	{ R, "history kept", { 2 }, NULL, false, "The line of this device had to begin anew; what was before it is kept by name" },
	{ R, "disk budget reached", { 3 }, "disk budget", false, "The copies fill what they may take: new recordings are not copied while this device leads" },
	{ R, "disk budget near", { 2 }, "disk budget", false, "The copies have almost filled what they may take" },
	{ R, "disk budget kept", { 1 }, "disk budget", true, "There is room again for what this device copies" },

	/* the events themselves */
	{ "NOTIFY", "event store replaced", { 2 }, NULL, false, "The file of the events was damaged and set aside; a new one was begun" },
	{ "NOTIFY", "delivery paused", { 2 }, NULL, false, "A mail server or gateway does not let this device in: name or password" },
	{ "NOTIFY", "delivery refused", { 2 }, NULL, false, "A server refused a message for good; said once an hour for each target" },
	{ "NOTIFY", "delivery given up", { 3 }, NULL, false, "Messages could not be delivered for a day and are given up" },
	{ "NOTIFY", "snmpd not reached", { 2 }, "snmpd", false, "Managers cannot ask about this device by SNMP; the text says why, and what to do" },
	{ "NOTIFY", "snmpd reached", { 1 }, "snmpd", true, "Managers can ask about this device by SNMP again" },
	{ "NOTIFY", "test", { 2 }, NULL, false, "Somebody tries the display; nothing has happened" },
	{ "NOTIFY", "back again", { 3 }, NULL, false, "Nobody was there: this device was off, and so was the other; the text says since when" },
};

const CatalogueEvent *catalogue_events(gsize *ret_n)
{
	*ret_n = G_N_ELEMENTS(events);
	return events;
}

const CatalogueEvent *catalogue_find(const char *application, const char *name)
{
	for (gsize i = 0; i < G_N_ELEMENTS(events); i++)
		if (strcmp(events[i].name, name) == 0 && strcmp(events[i].application, application) == 0)
			return &events[i];
	return NULL;
}

const char *catalogue_default_actions(guint8 priority)
{
	return priority >= CATALOGUE_DISPLAYED ? "display" : "";
}

guint8 catalogue_recovered_priority(const CatalogueEvent *event)
{
	guint8 priority = 0;

	for (gsize i = 0; event->recovery && i < G_N_ELEMENTS(events); i++)
		if (!events[i].recovery && g_strcmp0(events[i].about, event->about) == 0)
			priority = MAX(priority, events[i].priorities[0]);
	return priority;
}
