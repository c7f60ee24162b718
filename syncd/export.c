/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/export.c - what goes into the file, and what is asked of one that comes. */
#include "export.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <gnutls/abstract.h>
#include <gnutls/x509.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "error.h"
#include "syncd/files/file.h"
#include "syncd/peer/git-http.h"
#include "syncd/files/path.h"

#define CONTENTS    "contents"
#define SIGNATURE   "signature"
#define CERTIFICATE "certificate"
#define SETTINGS    "pair.conf"
#define BUNDLE      "config.bundle"
#define ENTIRE      "refs/heads/config"
#define PRESENT     "refs/export/config"
#define ARRIVED     "refs/export/arrived"

/* Beside the repository, for as long as it takes; in it the members, and a repository of its own: whatever is killed at whatever moment, its refs, locks and
 * half of a pack go with the folder. */
#define FOLDER "export"
#define OWN    "own.git"

enum { SMALL_MAX = 256 * 1024, COMPLAINT_MAX = 4096 };

static const char *const members[] = { CONTENTS, SIGNATURE, CERTIFICATE, SETTINGS, BUNDLE };
static const char *const signed_members[] = { SETTINGS, BUNDLE };

void sync_import_clear(SyncImport *import)
{
	g_clear_pointer(&import->name, g_free);
	g_clear_pointer(&import->pair_conf, g_free);
	g_clear_pointer(&import->firmware, g_free);
	g_clear_pointer(&import->from, g_free);
}

static bool refuse(GError **error, const char *code, const char *format, ...) G_GNUC_PRINTF(3, 4);
static bool refuse(GError **error, const char *code, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	g_autofree char *text = g_strdup_vprintf(format, args);
	va_end(args);
	g_autofree char *shown = sync_printable(text);
	g_set_error(error, SYNC_ERROR, SYNC_ERROR_REFUSED, "%s: %s", code, shown);
	return false;
}

/* ---- a folder for as long as it takes ---- */

void sync_export_clean(const char *folder)
{
	sync_autofd parent = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (parent >= 0)
		sync_file_remove_tree(parent, FOLDER);
}

static char *make_folder(const SyncExportPlace *place, GError **error)
{
	g_autofree char *folder = g_build_filename(place->folder, FOLDER, NULL);

	sync_export_clean(place->folder);
	if (g_mkdir(folder, 0700) == 0)
		return g_steal_pointer(&folder);
	sync_error_from_errno(error, errno, "%s", folder);
	return NULL;
}

static SyncRepo *make_repository(const char *folder, GError **error)
{
	g_autofree char *path = g_build_filename(folder, OWN, NULL);

	return sync_repo_open(path, error);
}

/* ---- how far it is ---- */

/* A part of the whole. */
typedef struct {
	double from, to;
	const char *message;
} Stretch;

static void say(const SyncExportPlace *place, const Stretch *stretch, double part)
{
	if (place->progress)
		place->progress(stretch->from + (stretch->to - stretch->from) * part, stretch->message, place->user_data);
}

/* What git says of its own progress: "Writing objects:  45% (9/20)". Each step has its share. */
static void hear(const SyncExportPlace *place, const Stretch *stretch, const char *line)
{
	static const struct {
		const char *words;
		double from, to;
	} steps[] = {
		{ "Counting objects:", 0, 0.1 },     { "Compressing objects:", 0.1, 0.4 }, { "Writing objects:", 0.4, 1 },
		{ "Receiving objects:", 0, 0.6 },    { "Unpacking objects:", 0, 0.6 },	   { "Resolving deltas:", 0.6, 0.9 },
		{ "Checking objects:", 0.9, 1 },
	};

	for (guint i = 0; i < G_N_ELEMENTS(steps); i++)
		if (g_str_has_prefix(line, steps[i].words)) {
			gint64 percent = g_ascii_strtoll(line + strlen(steps[i].words), NULL, 10);

			say(place, stretch, steps[i].from + (steps[i].to - steps[i].from) * (double)CLAMP(percent, 0, 100) / 100);
		}
}

/* ---- other programs ---- */

/* Its standard error to the end: progress is heard, the rest is what it complains of. */
static bool listen_to(const SyncExportPlace *place, const Stretch *stretch, GSubprocess *process, GString *complaint, GError **error)
{
	GInputStream *stream = g_subprocess_get_stderr_pipe(process);
	g_autoptr(GString) line = g_string_new(NULL);
	char buffer[1024];
	gssize n;

	while ((n = g_input_stream_read(stream, buffer, sizeof buffer, place->cancellable, error)) > 0) {
		for (gssize i = 0; i < n; i++) {
			if (buffer[i] != '\r' && buffer[i] != '\n') {
				if (line->len < COMPLAINT_MAX && buffer[i] != '\0')
					g_string_append_c(line, buffer[i]);
				continue;
			}
			if (stretch)
				hear(place, stretch, line->str);
			if (buffer[i] == '\n' && complaint->len + line->len < COMPLAINT_MAX)
				g_string_append_printf(complaint, "%s\n", line->str);
			g_string_truncate(line, 0);
		}
	}
	if (complaint->len + line->len < COMPLAINT_MAX)
		g_string_append(complaint, line->str);
	return n == 0;
}

/* Git has children of its own, which end with it. */
static void end_with_us(gpointer unused)
{
	(void)setpgid(0, 0);
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
}

static void end_all(GSubprocess *process)
{
	const char *pid = g_subprocess_get_identifier(process);

	if (pid)
		(void)kill(-(pid_t)g_ascii_strtoll(pid, NULL, 10), SIGKILL);
}

/* @in_fd, @out_fd -1: none, and what it prints, a line, is *ret_output when that is not NULL. @stretch NULL: it is not told of. */
static bool run(const SyncExportPlace *place, const char *folder, const Stretch *stretch, const char *const *argv, int in_fd, int out_fd, char **ret_output,
		GError **error)
{
	g_autoptr(GSubprocessLauncher) launcher = g_subprocess_launcher_new(G_SUBPROCESS_FLAGS_STDERR_PIPE |
									    (out_fd < 0 ? G_SUBPROCESS_FLAGS_STDOUT_PIPE : G_SUBPROCESS_FLAGS_NONE));
	g_auto(GStrv) env = sync_git_environment(place->repository);
	g_autoptr(GString) complaint = g_string_new(NULL);
	char output[LINE_MAX] = "";
	gsize length = 0;

	if (stretch)
		say(place, stretch, 0);
	g_subprocess_launcher_set_environ(launcher, env);
	g_subprocess_launcher_set_cwd(launcher, folder);
	g_subprocess_launcher_set_child_setup(launcher, end_with_us, NULL, NULL);
	if (in_fd >= 0)
		g_subprocess_launcher_take_stdin_fd(launcher, fcntl(in_fd, F_DUPFD_CLOEXEC, 3));
	if (out_fd >= 0)
		g_subprocess_launcher_take_stdout_fd(launcher, fcntl(out_fd, F_DUPFD_CLOEXEC, 3));
	g_autoptr(GSubprocess) process = g_subprocess_launcher_spawnv(launcher, argv, error);
	if (!process)
		return false;
	bool heard = listen_to(place, stretch, process, complaint, error) &&
		     (out_fd >= 0 || g_input_stream_read_all(g_subprocess_get_stdout_pipe(process), output, sizeof output - 1, &length, place->cancellable, error));
	if (!heard)
		end_all(process);
	if (!g_subprocess_wait(process, NULL, heard ? error : NULL) || !heard)
		return false;
	if (g_subprocess_get_if_signaled(process)) {
		g_set_error(error, SYNC_ERROR, SYNC_ERROR_FAILED, "%s: ended by signal %d", argv[0], g_subprocess_get_term_sig(process));
		return false;
	}
	if (!g_subprocess_get_successful(process)) {
		g_autofree char *shown = sync_printable(g_strstrip(complaint->str));
		g_set_error(error, SYNC_ERROR, SYNC_ERROR_FAILED, "%s: %s", argv[0], shown);
		return false;
	}
	if (ret_output)
		*ret_output = g_strdup(g_strstrip(output));
	return true;
}

/* In the repository of its own. */
static bool git(const SyncExportPlace *place, const char *folder, const Stretch *stretch, char **ret_output, GError **error, const char *word, ...)
{
	g_autoptr(GPtrArray) argv = g_ptr_array_new();
	va_list words;

	g_ptr_array_add(argv, (char *)"git");
	g_ptr_array_add(argv, (char *)"--git-dir=" OWN);
	va_start(words, word);
	for (; word; word = va_arg(words, const char *))
		g_ptr_array_add(argv, (char *)word);
	va_end(words);
	g_ptr_array_add(argv, NULL);
	return run(place, folder, stretch, (const char *const *)argv->pdata, -1, -1, ret_output, error);
}

/* ---- members ---- */

/* Only files as such: what came in an archive may be a link, or a pipe that nobody writes to. */
static int open_member(const char *folder, const char *name)
{
	sync_autofd root = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	sync_autofd fd = root < 0 ? -1 : sync_file_open_beneath(root, name, O_RDONLY | O_NONBLOCK);
	struct stat st;
	int result = -1;

	if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
		result = fd;
		fd = -1;
	}
	return result;
}

static GBytes *read_member(const char *folder, const char *name, GError **error)
{
	sync_autofd fd = open_member(folder, name);
	g_autofree char *data = g_malloc(SMALL_MAX + 1);
	gsize length = 0;
	ssize_t n = 0;

	while (fd >= 0 && length <= SMALL_MAX && (n = read(fd, data + length, SMALL_MAX + 1 - length)) > 0)
		length += (gsize)n;
	if (fd < 0 || n < 0 || length > SMALL_MAX) {
		refuse(error, "not-an-export", "it has no \"%s\", or one that is too large", name);
		return NULL;
	}
	data[length] = '\0'; /* so that text in it is a string */
	return g_bytes_new_take(g_steal_pointer(&data), length);
}

static char *sum_of(const char *folder, const char *name)
{
	sync_autofd fd = open_member(folder, name);
	g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
	g_autofree guint8 *buffer = g_malloc(SMALL_MAX);
	ssize_t n = -1;

	while (fd >= 0 && (n = read(fd, buffer, SMALL_MAX)) > 0)
		g_checksum_update(sum, buffer, n);
	return n == 0 ? g_strdup(g_checksum_get_string(sum)) : NULL;
}

static bool write_member(const char *folder, const char *name, const void *data, gsize length, GError **error)
{
	g_autofree char *path = g_build_filename(folder, name, NULL);

	return g_file_set_contents(path, data, (gssize)length, error);
}

/* ---- signatures ---- */

static bool sign(const SyncKey *key, const char *text, const char *folder, GError **error)
{
	gnutls_datum_t data = { (unsigned char *)text, (unsigned)strlen(text) }, signature = { NULL, 0 };
	g_autofree char *certificate = NULL;
	gnutls_x509_privkey_t x509 = NULL;
	gnutls_privkey_t private;
	int rc;

	g_object_get(key->certificate, "certificate-pem", &certificate, NULL);
	gnutls_privkey_init(&private);
	rc = gnutls_certificate_get_x509_key(key->credentials, 0, &x509);
	if (rc >= 0)
		rc = gnutls_privkey_import_x509(private, x509, 0);
	if (rc >= 0)
		rc = gnutls_privkey_sign_data2(private, GNUTLS_SIGN_ECDSA_SHA256, 0, &data, &signature);
	gnutls_privkey_deinit(private);
	if (x509)
		gnutls_x509_privkey_deinit(x509);
	if (rc < 0) {
		g_set_error(error, SYNC_ERROR, SYNC_ERROR_FAILED, "signing: %s", gnutls_strerror(rc));
		return false;
	}
	bool ok = write_member(folder, SIGNATURE, signature.data, signature.size, error) &&
		  write_member(folder, CERTIFICATE, certificate, strlen(certificate), error);
	gnutls_free(signature.data);
	return ok;
}

static bool is_signed(const SyncExportPlace *place, GBytes *contents, GBytes *signature, GBytes *certificate, GError **error)
{
	g_autoptr(GTlsCertificate) signer = g_tls_certificate_new_from_pem(g_bytes_get_data(certificate, NULL), -1, NULL);
	g_autofree char *fingerprint = sync_key_fingerprint(signer);
	gnutls_datum_t pem = { (void *)g_bytes_get_data(certificate, NULL), (unsigned)g_bytes_get_size(certificate) };
	gnutls_datum_t data = { (void *)g_bytes_get_data(contents, NULL), (unsigned)g_bytes_get_size(contents) };
	gnutls_datum_t mark = { (void *)g_bytes_get_data(signature, NULL), (unsigned)g_bytes_get_size(signature) };
	gnutls_x509_crt_t crt;
	gnutls_pubkey_t public;

	if (!fingerprint)
		return refuse(error, "not-signed", "there is no certificate in it that can be read");
	gnutls_x509_crt_init(&crt);
	gnutls_pubkey_init(&public);
	bool good = gnutls_x509_crt_import(crt, &pem, GNUTLS_X509_FMT_PEM) >= 0 && gnutls_pubkey_import_x509(public, crt, 0) >= 0 &&
		    gnutls_pubkey_verify_data2(public, GNUTLS_SIGN_ECDSA_SHA256, 0, &data, &mark) >= 0;
	gnutls_pubkey_deinit(public);
	gnutls_x509_crt_deinit(crt);
	if (!good)
		return refuse(error, "altered", "its signature is not that of its contents");
	/* Whoever can sign can say anything: it must be one of the two. */
	if (!sync_key_is_pinned(place->trusted, fingerprint))
		return refuse(error, "unknown-signer", "it is signed by the key %s, which is not one of this pair", fingerprint);
	return true;
}

/* ---- out ---- */

static char *describe(const SyncExportPlace *place, const char *folder, bool history, const char *commit)
{
	g_autoptr(GKeyFile) file = g_key_file_new();

	g_key_file_set_integer(file, "export", "version", SYNC_EXPORT_VERSION);
	g_key_file_set_string(file, "export", "model", place->model);
	g_key_file_set_string(file, "export", "firmware", place->firmware);
	g_key_file_set_string(file, "export", "device", place->device);
	g_key_file_set_string(file, "export", "product", UNDERSTUDY_VERSION);
	g_key_file_set_int64(file, "export", "made-ms", g_get_real_time() / 1000);
	g_key_file_set_string(file, "export", "content", history ? "history" : "state");
	g_key_file_set_string(file, "export", "commit", commit);
	for (guint i = 0; i < G_N_ELEMENTS(signed_members); i++) {
		g_autofree char *sum = sum_of(folder, signed_members[i]);

		g_key_file_set_string(file, "sha256", signed_members[i], sum ? sum : "");
	}
	return g_key_file_to_data(file, NULL, NULL);
}

/* The present state as a commit without a past. This device may have a newer firmware than the one that made it. Transfer full. */
static char *cut_off(const SyncExportPlace *place, const char *folder, SyncRepo *repo, const git_oid *id, const char *commit, GError **error)
{
	g_autofree char *tree = g_strconcat(commit, "^{tree}", NULL);
	g_auto(SyncTerm) term = { 0 };
	char *alone = NULL;

	if (!sync_repo_term_of(repo, id, &term, error))
		return NULL;
	g_autofree char *message = g_strconcat("exported", term.firmware ? "\n\nFirmware: " : NULL, term.firmware, NULL);
	(void)git(place, folder, NULL, &alone, error, "-c", "user.name=understudy", "-c", "user.email=understudy@localhost", "commit-tree", "-m", message, tree, NULL);
	return alone;
}

static bool fill(const SyncExportPlace *place, const char *folder, bool history, int fd, GError **error)
{
	static const char *const pack[] = { "tar",     "--format=ustar", "--owner=0",  "--group=0", "--mode=0600", "-cf", "-",
					    CONTENTS, SIGNATURE,	CERTIFICATE, SETTINGS,    BUNDLE,	NULL };
	static const Stretch bundling = { 0, 0.8, "gathering the configuration" }, writing = { 0.85, 1, "writing the file" };
	g_autoptr(SyncRepo) repo = sync_repo_open(place->repository, error), own = repo ? make_repository(folder, error) : NULL;
	g_autofree char *objects = g_strconcat(place->repository, "/objects\n", NULL);
	git_oid id;

	if (!own || !write_member(folder, OWN "/objects/info/alternates", objects, strlen(objects), error))
		return false;
	if (!sync_repo_get_ref(repo, "heads", "config", &id))
		return refuse(error, "nothing", "there is no configuration yet");
	g_autofree char *commit = sync_oid_text(&id), *alone = history ? NULL : cut_off(place, folder, repo, &id, commit, error);
	const char *ref = history ? ENTIRE : PRESENT;
	if ((!history && !alone) || !git(place, folder, NULL, NULL, error, "update-ref", ref, history ? commit : alone, NULL) ||
	    !git(place, folder, &bundling, NULL, error, "bundle", "create", "--progress", BUNDLE, ref, NULL) ||
	    !write_member(folder, SETTINGS, place->pair_conf, strlen(place->pair_conf), error))
		return false;
	g_autofree char *contents = describe(place, folder, history, commit);
	return write_member(folder, CONTENTS, contents, strlen(contents), error) && sign(place->key, contents, folder, error) &&
	       run(place, folder, &writing, pack, -1, fd, NULL, error);
}

bool sync_export(const SyncExportPlace *place, bool history, int fd, GError **error)
{
	g_autofree char *folder = make_folder(place, error);

	if (!folder)
		return false;
	bool ok = fill(place, folder, history, fd, error);
	sync_export_clean(place->folder);
	return ok;
}

/* ---- in ---- */

static bool is_intact(const char *folder, GKeyFile *contents, GError **error)
{
	for (guint i = 0; i < G_N_ELEMENTS(signed_members); i++) {
		g_autofree char *said = g_key_file_get_string(contents, "sha256", signed_members[i], NULL), *sum = sum_of(folder, signed_members[i]);

		if (!said || !sum || !g_str_equal(said, sum))
			return refuse(error, "altered", "\"%s\" is not what was signed", signed_members[i]);
	}
	return true;
}

static bool fits(const SyncExportPlace *place, GKeyFile *contents, GError **error)
{
	g_autofree char *model = g_key_file_get_string(contents, "export", "model", NULL);
	g_autofree char *firmware = g_key_file_get_string(contents, "export", "firmware", NULL);
	int version = g_key_file_get_integer(contents, "export", "version", NULL);

	if (version < 1)
		return refuse(error, "not-an-export", "it does not say of which version it is");
	if (version > SYNC_EXPORT_VERSION)
		return refuse(error, "newer-version", "it is of version %d, and this device knows %d", version, SYNC_EXPORT_VERSION);
	if (g_strcmp0(model, place->model) != 0)
		return refuse(error, "other-model", "it is of the model \"%s\", and this device is a \"%s\"", model ? model : "", place->model);
	if (sync_term_is_newer(firmware, place->firmware))
		return refuse(error, "newer-firmware", "it is of firmware %s, and this device has %s", firmware, place->firmware);
	return true;
}

static bool park(const SyncExportPlace *place, const char *folder, SyncImport *import, const char *wanted, GError **error)
{
	static const Stretch taking = { 0.3, 0.8, "taking the configuration out of it" };
	g_autofree char *spec = g_strdup_printf("%s:%s", import->history ? ENTIRE : PRESENT, ARRIVED);
	g_autoptr(SyncRepo) own = make_repository(folder, error);
	git_oid id, tree;

	if (!own)
		return false;
	if (!git(place, folder, &taking, NULL, error, "-c", "fetch.fsckObjects=true", "fetch", "--progress", "--no-tags", "--no-write-fetch-head", BUNDLE, spec, NULL)) {
		if (g_error_matches(*error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
			return false;
		g_autofree char *why = g_strdup((*error)->message);

		g_clear_error(error);
		return refuse(error, "broken", "git refuses what is in it: %s", why);
	}
	if (git_reference_name_to_id(&id, own->git, ARRIVED) < 0)
		return sync_git_error(error, "what has arrived");
	g_autofree char *commit = sync_oid_text(&id);
	if (import->history && g_strcmp0(commit, wanted) != 0)
		return refuse(error, "broken", "the commit in it is not the one it names");
	if (!sync_repo_tree_of(own, &id, &tree, error))
		return false;
	g_auto(GStrv) sets = sync_repo_sets(own, &tree, error);
	for (guint i = 0; sets && sets[i]; i++)
		if (!sync_sets_find(place->sets, SYNC_REF_CONFIG, sets[i]))
			return refuse(error, "other-applications", "it has the data set %s, which no application of this device declares", sets[i]);
	if (!sets || !sync_repo_adopt_packs(place->repository, own->path, error))
		return false;
	g_autoptr(SyncRepo) repo = sync_repo_open(place->repository, error);
	if (!repo)
		return false;
	g_auto(GStrv) before = sync_repo_diverged(repo);
	import->name = sync_repo_park(repo, "imported", &id, error);
	import->is_new = import->name && !g_strv_contains((const char *const *)before, import->name);
	return import->name != NULL;
}

static bool take(const SyncExportPlace *place, const char *folder, int fd, SyncImport *import, GError **error)
{
	static const char *const unpack[] = { "tar",	 "--no-same-owner", "--no-same-permissions", "-xf", "-", CONTENTS, SIGNATURE, CERTIFICATE, SETTINGS, BUNDLE,
					      NULL };
	static const Stretch reading = { 0, 0.2, "reading the file" }, checking = { 0.2, 0.3, "checking who signed it, and what" };
	g_autoptr(GError) problem = NULL;
	GBytes *bytes[G_N_ELEMENTS(members) - 1] = { NULL }; /* all but the bundle */
	g_autoptr(GKeyFile) contents = g_key_file_new();
	bool ok = true;

	bool unpacked = run(place, folder, &reading, unpack, fd, -1, NULL, &problem);
	if (g_error_matches(problem, G_IO_ERROR, G_IO_ERROR_CANCELLED)) {
		g_propagate_error(error, g_steal_pointer(&problem));
		return false;
	}
	say(place, &checking, 0);
	if (!unpacked)
		return refuse(error, "not-an-export", "%s", problem->message);
	for (guint i = 0; i < G_N_ELEMENTS(bytes) && ok; i++)
		ok = (bytes[i] = read_member(folder, members[i], error)) != NULL;
	if (ok && !g_key_file_load_from_data(contents, g_bytes_get_data(bytes[0], NULL), g_bytes_get_size(bytes[0]), G_KEY_FILE_NONE, NULL))
		ok = refuse(error, "not-an-export", "what it says of itself cannot be read");
	/* Who made it comes before anything it says. */
	ok = ok && is_signed(place, bytes[0], bytes[1], bytes[2], error) && fits(place, contents, error) && is_intact(folder, contents, error);
	if (ok) {
		g_autofree char *content = g_key_file_get_string(contents, "export", "content", NULL);
		g_autofree char *device = g_key_file_get_string(contents, "export", "device", NULL);
		g_autofree char *commit = g_key_file_get_string(contents, "export", "commit", NULL);

		import->history = g_strcmp0(content, "history") == 0;
		import->firmware = g_key_file_get_string(contents, "export", "firmware", NULL);
		import->pair_conf = g_utf8_make_valid(g_bytes_get_data(bytes[3], NULL), (gssize)g_bytes_get_size(bytes[3]));
		import->from = g_strdup_printf("%.8s of %s", commit ? commit : "", device ? device : "");
		ok = park(place, folder, import, commit, error);
	}
	for (guint i = 0; i < G_N_ELEMENTS(bytes); i++)
		g_clear_pointer(&bytes[i], g_bytes_unref);
	return ok;
}

bool sync_import(const SyncExportPlace *place, int fd, SyncImport *ret_import, GError **error)
{
	g_autofree char *folder = make_folder(place, error);

	if (!folder)
		return false;
	bool ok = take(place, folder, fd, ret_import, error);
	sync_export_clean(place->folder);
	return ok;
}

void sync_import_forget(const char *repository, const char *name)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(SyncRepo) repo = sync_repo_open(repository, &error);

	if (repo)
		(void)git_reference_remove(repo->git, name);
}
