// Makes Node refuse what Debian 13's Node refuses.
process.initgroups = () => {
  throw Object.assign(new Error('initgroups() disabled: io_uring may be enabled.'), {
    code: 'ERR_INVALID_STATE',
  });
};
