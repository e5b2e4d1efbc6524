/*
 * The accounts, groups and variables of a testbed, read by a process inside. The files are hostile: they may be pipes
 * without a writer, and have lines of any length and content.
 */
#include "helper.h"

#include <sys/stat.h>

static FILE *open_text(const char *path) {
	struct stat status;
	int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (file >= 0 && fstat(file, &status) == 0 && S_ISREG(status.st_mode)) return fdopen(file, "r");
	if (file >= 0) close(file);
	return NULL;
}

/* The next line without its newline; longer lines are skipped. NULL at the end of the file, which is then closed. */
static char *next_line(FILE *text) {
	static char line[65536];
	bool is_rest = false;
	while (text != NULL && fgets(line, sizeof line, text) != NULL) {
		size_t length = strlen(line);
		bool is_whole = (length > 0 && line[length - 1] == '\n') || feof(text);
		if (is_whole && !is_rest) {
			line[strcspn(line, "\n")] = '\0';
			return line;
		}
		is_rest = !is_whole;
	}
	if (text != NULL) fclose(text);
	return NULL;
}

static bool parse_id(const char *text, unsigned *id) {
	if (text == NULL || *text == '\0' || strspn(text, "0123456789") != strlen(text) || strlen(text) > 10) return false;
	unsigned long number = strtoul(text, NULL, 10);
	*id = (unsigned)number;
	return number < UINT32_MAX;
}

bool look_up_account(const char *user, struct account *account) {
	FILE *passwd = open_text("/etc/passwd");
	for (char *line; (line = next_line(passwd)) != NULL;) {
		char *field[7];
		for (size_t i = 0; i < 7; i++) field[i] = strsep(&line, ":");
		if (field[2] == NULL || (strcmp(field[0], user) != 0 && strcmp(field[2], user) != 0)) continue;
		if (!parse_id(field[2], &account->uid) || !parse_id(field[3], &account->gid)) continue;
		snprintf(account->name, sizeof account->name, "%s", field[0]);
		snprintf(account->home, sizeof account->home, "%s", field[5] == NULL ? "/" : field[5]);
		snprintf(account->shell, sizeof account->shell, "%s", field[6] == NULL || *field[6] == '\0' ? "/bin/sh" : field[6]);
		fclose(passwd);
		return true;
	}
	*account = (struct account){.home = "/", .shell = "/bin/sh"};
	bool is_number = parse_id(user, &account->uid);
	account->gid = account->uid;
	return is_number;
}

bool choose_group(const char *group, struct account *account) {
	FILE *text = open_text("/etc/group");
	account->name[0] = '\0';
	for (char *line; (line = next_line(text)) != NULL;) {
		const char *name = strsep(&line, ":");
		strsep(&line, ":");
		const char *number = strsep(&line, ":");
		if (strcmp(name, group) != 0 || !parse_id(number, &account->gid)) continue;
		fclose(text);
		return true;
	}
	return parse_id(group, &account->gid);
}

size_t read_groups(const struct account *account, gid_t *groups, size_t most) {
	if (account->name[0] == '\0') return 0;
	size_t count = 0;
	groups[count++] = account->gid;
	FILE *group = open_text("/etc/group");
	for (char *line; (line = next_line(group)) != NULL;) {
		strsep(&line, ":");
		strsep(&line, ":");
		const char *number = strsep(&line, ":"), *member;
		while ((member = strsep(&line, ",")) != NULL && strcmp(member, account->name) != 0) {
		}
		if (member != NULL && count < most && parse_id(number, &groups[count])) count++;
	}
	return count;
}

void read_environment(void) {
	FILE *text = open_text("/etc/environment");
	for (char *line; (line = next_line(text)) != NULL;) {
		if (strncmp(line, "export ", 7) == 0) line += 7;
		char *value = strchr(line, '=');
		if (value == NULL || value == line || (*line >= '0' && *line <= '9')) continue;
		*value++ = '\0';
		if (strspn(line, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_") != strlen(line)) continue;
		size_t length = strlen(value);
		if (length > 1 && (*value == '"' || *value == '\'') && value[length - 1] == *value) {
			value[length - 1] = '\0';
			value++;
		}
		setenv(line, value, 1);
	}
}

