/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* supervisor/settings/settings-order.h - changing the settings by order: whole, checked, and those of the pair on both devices together. */
#pragma once

#include <gio/gio.h>
#include <stdbool.h>

typedef struct Supervisor Supervisor;
typedef struct SettingsOrders SettingsOrders;

typedef struct {
	const char *file;  /* "pair.conf" or "device.conf" */
	const char *text;
	const char *base;  /* revision of the text that was changed; "" or NULL: whatever is there */
	const char *who, *why;
	bool alone;        /* also the keys by which the two find each other, with the peer away */
	bool dry_run;
	bool from_disk;    /* it is what somebody wrote to the file itself */
} SettingsChange;

/* @result: a{sv}, borrowed, or NULL with @error. */
typedef void (*SettingsDoneCb)(GVariant *result, const GError *error, gpointer user_data);

SettingsOrders *settings_orders_new(Supervisor *supervisor);
void settings_orders_free(SettingsOrders *orders); /* NULL is fine */

void settings_order_change(SettingsOrders *orders, const SettingsChange *what, SettingsDoneCb done, gpointer user_data);
/* Reads all files again. A change of pair.conf goes the way of every other. */
void settings_order_reload(SettingsOrders *orders, const char *who, SettingsDoneCb done, gpointer user_data);

/* What the peer says may have changed. */
/* Somebody waits for the answer to a change. */
bool settings_orders_under_way(const SettingsOrders *orders);

void settings_orders_look(SettingsOrders *orders);
/* Other settings have come into use: each is kept as a version. */
void settings_orders_in_use(SettingsOrders *orders);
/* The two would not understand each other now: the one that does not lead must not take over for that. */
bool settings_orders_hold(const SettingsOrders *orders);
/* To be called with new facts, before anything is done about them: what they lift may be what this takes the place of. */
void settings_orders_judge(SettingsOrders *orders);
/* The topic `settings`. NULL without @error: peer_answer() comes later. */
GVariant *settings_orders_answer(SettingsOrders *orders, guint64 serial, GVariant *args, GError **error);

GVariant *settings_orders_history(SettingsOrders *orders, const char *file, guint count); /* aa{sv}, floating */
bool settings_orders_version(SettingsOrders *orders, guint number, char **ret_file, char **ret_text);
