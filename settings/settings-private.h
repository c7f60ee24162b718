/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* settings/settings-private.h - what the files of this folder share: each fills its part of a Settings. */
#pragma once

#include "settings/scanner.h"
#include "settings/settings.h"

/* device.conf. @host_name: the default of `name`. */
bool device_read(Settings *settings, const char *file, const char *text, const char *host_name, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* pair.conf; after device_read(), whose interfaces and addresses it is checked against. */
void pair_set_defaults(Settings *settings);
bool pair_read(Settings *settings, const char *file, const char *text, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* The sections of pair.conf that say who is told what. */
void notify_set_defaults(Settings *settings);
bool notify_read(Settings *settings, const ScannerFile *file, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Nothing when all of it says what the defaults say. */
void notify_append_meaning(const Settings *settings, GString *text);

/* applications.d/NAME.conf, all at once, because they need each other. Fills settings->applications in starting order. */
bool applications_read(Settings *settings, const char *const *files, const char *const *names, const char *const *texts,
		       GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* The keys of [application] that say what a command may do and use. @unit: none of them may be there. */
bool rights_read(SettingsRights *rights, const ScannerFile *file, const ScannerSection *section, bool unit, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* "@name", "@name-command", "@name-address" of [application], for @kind; @ret_check is filled. */
bool check_read(SettingsCheck *ret_check, const char *name, SettingsCheckKind kind, const ScannerFile *file, const ScannerSection *section,
		GError **error) G_GNUC_WARN_UNUSED_RESULT;

void settings_address_clear(SettingsAddress *address);
void settings_address_free(gpointer address);
void settings_interface_free(gpointer interface);
void settings_group_free(gpointer group);
void settings_data_free(gpointer data);
void settings_application_free(gpointer application);
void settings_target_free(gpointer target);
void settings_rule_free(gpointer rule);
