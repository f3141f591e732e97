-- The server's lc_messages: that of our own role can be another one.
SELECT reset_val AS messages
FROM pg_show_all_settings()
WHERE name = 'lc_messages';
