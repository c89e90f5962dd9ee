package mq.foreign.amqp;

import com.rabbitmq.client.AMQP;
import com.rabbitmq.client.Method;
import com.rabbitmq.client.ShutdownSignalException;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;
import org.json.JSONObject;

/** {@code --url URL --name CONNECTION_NAME}: see foreign/amqp-python/main.py for what it reads and writes. */
public final class Main {
    private Main() {
    }

    public static void main(String[] args) throws Exception {
        Map<String, String> options = new HashMap<>();
        for (int i = 0; i + 1 < args.length; i += 2) {
            options.put(args[i], args[i + 1]);
        }
        Calls calls = new Calls(options.get("--url"), options.get("--name"));
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            out.println(answer(calls, new JSONObject(line)));
        }
        calls.close();
        System.exit(0);
    }

    private static JSONObject answer(Calls calls, JSONObject params) {
        try {
            return calls.call(params.getString("Action"), params).put("code", 0);
        } catch (UnsupportedOperationException e) {
            return error(-2, e.toString());
        } catch (Exception e) {
            for (Throwable cause = e; cause != null; cause = cause.getCause()) {
                if (cause instanceof ShutdownSignalException closed && closed.getReason() != null) {
                    return closed(closed.getReason());
                }
            }
            return error(-1, e.toString());
        }
    }

    private static JSONObject closed(Method reason) {
        if (reason instanceof AMQP.Channel.Close close) {
            return error(close.getReplyCode(), close.getReplyText());
        }
        if (reason instanceof AMQP.Connection.Close close) {
            return error(close.getReplyCode(), close.getReplyText());
        }
        return error(-1, reason.toString());
    }

    private static JSONObject error(int code, String error) {
        return new JSONObject().put("code", code).put("error", error);
    }
}
