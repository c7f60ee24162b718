/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* settings/settings.c - the shared structure, and reading the files of /etc/understudy into it. */
#include "settings/settings.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "settings/settings-private.h"

void settings_address_clear(SettingsAddress *address)
{
	g_free(address->text);
	g_free(address->host);
	*address = (SettingsAddress){ 0 };
}

void settings_address_free(gpointer data)
{
	settings_address_clear(data);
	g_free(data);
}

void settings_interface_free(gpointer data)
{
	SettingsInterface *interface = data;
	g_free(interface->name);
	g_free(interface->device);
	settings_address_clear(&interface->address);
	settings_address_clear(&interface->address6);
	g_free(interface);
}

void settings_group_free(gpointer data)
{
	SettingsGroup *group = data;
	g_free(group->name);
	g_free(group->interface);
	g_ptr_array_unref(group->addresses);
	g_ptr_array_unref(group->routes);
	g_free(group);
}

void settings_data_free(gpointer data)
{
	SettingsData *set = data;
	g_free(set->name);
	g_free(set->path);
	g_strfreev(set->include);
	g_strfreev(set->exclude);
	g_free(set);
}

static void check_clear(SettingsCheck *check)
{
	g_strfreev(check->command);
	g_free(check->host);
}

void settings_application_free(gpointer data)
{
	SettingsApplication *application = data;
	g_free(application->name);
	g_free(application->description);
	g_strfreev(application->command);
	g_strfreev(application->environment);
	g_strfreev(application->needs);
	g_strfreev(application->quiet_command);
	g_strfreev(application->count_command);
	for (guint i = 0; i < SETTINGS_N_HOOKS; i++)
		g_strfreev(application->hooks[i].command);
	g_free(application->hook_user);
	g_free(application->user);
	g_free(application->group);
	g_free(application->working_directory);
	g_free(application->unit);
	g_free(application->program);
	check_clear(&application->ready_check);
	check_clear(&application->health);
	g_free(application->rights.capabilities);
	g_free(application->rights.bounds);
	g_ptr_array_unref(application->data);
	g_free(application);
}

static void settings_clear(gpointer data)
{
	Settings *settings = data;
	g_free(settings->id);
	g_free(settings->name);
	g_free(settings->model);
	g_free(settings->firmware);
	g_free(settings->firmware_file);
	g_ptr_array_unref(settings->interfaces);
	g_strfreev(settings->peer_addresses);
	g_free(settings->agentx);
	g_strfreev(settings->reboot_command);
	g_strfreev(settings->own_files);
	g_free(settings->revision_device);
	g_ptr_array_unref(settings->groups);
	g_ptr_array_unref(settings->targets);
	g_ptr_array_unref(settings->rules);
	g_array_unref(settings->witnesses);
	g_free(settings->pair_text);
	g_free(settings->pair_hash);
	g_ptr_array_unref(settings->applications);
}

static Settings *settings_new(void)
{
	Settings *settings = g_atomic_rc_box_new0(Settings);
	settings->interfaces = g_ptr_array_new_with_free_func(settings_interface_free);
	settings->peer_addresses = g_new0(char *, 1);
	settings->own_files = g_new0(char *, 1);
	settings->groups = g_ptr_array_new_with_free_func(settings_group_free);
	settings->targets = g_ptr_array_new_with_free_func(settings_target_free);
	settings->rules = g_ptr_array_new_with_free_func(settings_rule_free);
	settings->witnesses = g_array_new(FALSE, FALSE, sizeof(IpAddress));
	settings->applications = g_ptr_array_new_with_free_func(settings_application_free);
	pair_set_defaults(settings);
	return settings;
}

/* Atomic, because a worker thread may hold one while the loop loads the next. */
Settings *settings_ref(Settings *settings)
{
	return g_atomic_rc_box_acquire(settings);
}

void settings_unref(Settings *settings)
{
	if (settings)
		g_atomic_rc_box_release_full(settings, settings_clear);
}

/* @prefix: the folder, with its "/", as errors shall name it. */
static Settings *parse(const char *prefix, const char *device_text, const char *pair_text, const char *const *names,
		       const char *const *texts, GError **error)
{
	g_autoptr(Settings) settings = settings_new();
	g_autofree char *device_file = g_strconcat(prefix, "device.conf", NULL), *pair_file = g_strconcat(prefix, "pair.conf", NULL);
	g_autoptr(GPtrArray) files = g_ptr_array_new_with_free_func(g_free);
	for (guint i = 0; names && names[i]; i++)
		g_ptr_array_add(files, g_strconcat(prefix, "applications.d/", names[i], ".conf", NULL));
	g_ptr_array_add(files, NULL);

	if (!device_read(settings, device_file, device_text, g_get_host_name(), error) ||
	    (pair_text && !pair_read(settings, pair_file, pair_text, error)) ||
	    !applications_read(settings, (const char *const *)files->pdata, names, texts, error))
		return NULL;
	return g_steal_pointer(&settings);
}

Settings *settings_parse(const char *device_text, const char *pair_text, const char *const *application_names,
			 const char *const *application_texts, GError **error)
{
	return parse("", device_text, pair_text, application_names, application_texts, error);
}

/*
 * The whole of @file, or NULL with *ret_missing set when there is none. An application file names commands that run as root, so
 * with @trusted it must be one that only root (or who we are, in tests) can have written.
 */
static char *read_whole(const char *file, bool trusted, bool *ret_missing, GError **error)
{
	*ret_missing = false;
	int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0) {
		*ret_missing = errno == ENOENT;
		if (!*ret_missing)
			scanner_error(error, file, 1, "cannot be read: %s", g_strerror(errno));
		return NULL;
	}

	struct stat st;
	g_autofree char *text = NULL;
	gsize length = 0;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		scanner_error(error, file, 1, "is no regular file");
	} else if (trusted && ((st.st_uid != 0 && st.st_uid != geteuid()) || (st.st_mode & 022))) {
		scanner_error(error, file, 1, "names commands, so it must belong to root and be writable by root alone");
	} else {
		text = g_malloc(SCANNER_MAX_BYTES + 2);
		ssize_t n = 1;
		while (length <= SCANNER_MAX_BYTES && (n = read(fd, text + length, SCANNER_MAX_BYTES + 1 - length)) > 0)
			length += (gsize)n;
		text[length] = '\0'; /* a file too long is the scanner's to refuse */
		if (n < 0) {
			scanner_error(error, file, 1, "cannot be read: %s", g_strerror(errno));
			g_clear_pointer(&text, g_free);
		} else if (strlen(text) != length) {
			guint line = 1;
			for (const char *c = text; *c; c++)
				line += *c == '\n';
			scanner_error(error, file, line, "control character 0x00");
			g_clear_pointer(&text, g_free);
		}
	}
	close(fd);
	return g_steal_pointer(&text);
}

static int compare_names(gconstpointer a, gconstpointer b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The names of DIR/applications.d/NAME.conf in byte order, NULL-terminated; files of other endings and hidden ones are no business of ours. */
static GPtrArray *list_applications(const char *dir, GError **error)
{
	g_autofree char *folder = g_build_filename(dir, "applications.d", NULL);
	g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GError) failure = NULL;
	g_autoptr(GDir) entries = g_dir_open(folder, 0, &failure);
	if (!entries && !g_error_matches(failure, G_FILE_ERROR, G_FILE_ERROR_NOENT)) {
		scanner_error(error, folder, 1, "cannot be read: %s", failure->message);
		return NULL;
	}
	for (const char *name; entries && (name = g_dir_read_name(entries));)
		if (*name != '.' && g_str_has_suffix(name, ".conf"))
			g_ptr_array_add(names, g_strndup(name, strlen(name) - strlen(".conf")));
	g_ptr_array_sort(names, compare_names);
	g_ptr_array_add(names, NULL);
	return g_steal_pointer(&names);
}

/* Where @path leads, as far as it exists; what does not exist yet would be made below that. */
static char *real_path(const char *path)
{
	g_autofree char *there = g_strdup(path);
	g_autofree char *rest = g_strdup("");
	for (;;) {
		g_autofree char *real = realpath(there, NULL);
		if (real)
			return *rest ? g_build_filename(real, rest, NULL) : g_steal_pointer(&real);
		if (g_str_equal(there, "/"))
			return g_strdup(path);
		g_autofree char *name = g_path_get_basename(there), *more = *rest ? g_build_filename(name, rest, NULL) : g_strdup(name);
		char *above = g_path_get_dirname(there);
		g_free(there);
		there = above;
		g_free(rest);
		rest = g_steal_pointer(&more);
	}
}

/* A path that may be a data set by its name may lead elsewhere. */
static bool check_places(const Settings *settings, const char *prefix, GError **error)
{
	for (guint i = 0; i < settings->applications->len; i++) {
		const SettingsApplication *application = g_ptr_array_index(settings->applications, i);
		for (guint k = 0; k < application->data->len; k++) {
			const SettingsData *data = g_ptr_array_index(application->data, k);
			g_autofree char *real = real_path(data->path);
			const char *place = settings_forbidden_data(real);
			if (!place)
				continue;
			g_autofree char *file = g_strconcat(prefix, "applications.d/", application->name, ".conf", NULL);
			return scanner_error(error, file, data->line, "%s cannot be a data set: it leads to %s, and %s belongs to the device alone",
					     data->path, real, place);
		}
	}
	return true;
}

/* @given: what stands in the place of the file @given_name. */
static Settings *load(const char *dir, const char *given_name, const char *given, GError **error)
{
	g_autofree char *device_file = g_build_filename(dir, "device.conf", NULL), *pair_file = g_build_filename(dir, "pair.conf", NULL);
	g_autofree char *prefix = g_build_filename(dir, G_DIR_SEPARATOR_S, NULL);
	bool missing;

	bool device_given = g_strcmp0(given_name, "device.conf") == 0, pair_given = g_strcmp0(given_name, "pair.conf") == 0;

	missing = false;
	g_autofree char *device_text = device_given ? g_strdup(given) : read_whole(device_file, false, &missing, error);
	if (missing)
		g_set_error(error, SETTINGS_ERROR, SETTINGS_ERROR_MISSING, "%s: missing; every device needs one, with its identity and interfaces",
			    device_file);
	if (!device_text)
		return NULL;
	g_autofree char *pair_text = pair_given ? g_strdup(given) : read_whole(pair_file, false, &missing, error);
	if (!pair_text && !missing)
		return NULL;

	g_autoptr(GPtrArray) names = list_applications(dir, error);
	if (!names)
		return NULL;
	g_autoptr(GPtrArray) texts = g_ptr_array_new_with_free_func(g_free);
	for (guint i = 0; i + 1 < names->len; i++) {
		g_autofree char *file = g_strconcat(prefix, "applications.d/", g_ptr_array_index(names, i), ".conf", NULL);
		char *text = read_whole(file, true, &missing, error);
		if (missing) /* a dangling link, or gone since we listed it */
			scanner_error(error, file, 1, "cannot be read: %s", g_strerror(ENOENT));
		if (!text)
			return NULL;
		g_ptr_array_add(texts, text);
	}
	g_ptr_array_add(texts, NULL);
	g_autoptr(Settings) settings = parse(prefix, device_text, pair_text, (const char *const *)names->pdata, (const char *const *)texts->pdata, error);
	return settings && check_places(settings, prefix, error) ? g_steal_pointer(&settings) : NULL;
}

Settings *settings_load(const char *dir, GError **error)
{
	return load(dir, NULL, NULL, error);
}

Settings *settings_load_with(const char *dir, const char *file, const char *text, GError **error)
{
	return load(dir, file, text, error);
}

const SettingsInterface *settings_interface(const Settings *settings, const char *name)
{
	for (guint i = 0; i < settings->interfaces->len; i++) {
		const SettingsInterface *interface = g_ptr_array_index(settings->interfaces, i);
		if (g_str_equal(interface->name, name))
			return interface;
	}
	return NULL;
}

const SettingsGroup *settings_electing_group(const Settings *settings)
{
	for (guint i = 0; i < settings->groups->len; i++) {
		const SettingsGroup *group = g_ptr_array_index(settings->groups, i);
		if (group->elects)
			return group;
	}
	return NULL;
}

const SettingsAddress *settings_own_address(const SettingsInterface *interface, sa_family_t family)
{
	const SettingsAddress *address = family == AF_INET6 ? &interface->address6 : &interface->address;

	return ip_is_set(&address->ip) ? address : NULL;
}

bool settings_group_has_link_local(const SettingsGroup *group)
{
	for (guint i = 0; i < group->addresses->len; i++) {
		const SettingsAddress *address = g_ptr_array_index(group->addresses, i);

		if (address->ip.family == AF_INET6 && ip_is_link_local(&address->ip))
			return true;
	}
	return false;
}

/* The modified EUI-64 identifier (RFC 4291 appendix A) of the virtual MAC 00:00:5e:00:02:VRID. */
IpAddress settings_derived_link_local(const Settings *settings)
{
	const guint8 bytes[16] = { 0xfe, 0x80, [8] = 0x02, [10] = 0x5e, [11] = 0xff, [12] = 0xfe, [14] = 0x02, [15] = (guint8)settings->group_id };

	return ip_v6(bytes);
}

guint settings_group_count(const SettingsGroup *group, sa_family_t family)
{
	guint n = 0;

	for (guint i = 0; i < group->addresses->len; i++)
		n += ((const SettingsAddress *)g_ptr_array_index(group->addresses, i))->ip.family == family;
	return n;
}

const SettingsApplication *settings_application(const Settings *settings, const char *name)
{
	for (guint i = 0; i < settings->applications->len; i++) {
		const SettingsApplication *application = g_ptr_array_index(settings->applications, i);
		if (g_str_equal(application->name, name))
			return application;
	}
	return NULL;
}
